import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { BUCKET_BOUNDS_MS } from './counters.js';

const SCRIPT_NAMES = [
  'accept',
  'add-array',
  'add-file',
  'adopt',
  'beat',
  'begin-anew',
  'cancel',
  'cancel-array',
  'claim',
  'dispatch',
  'expand',
  'expire',
  'forget',
  'forget-arrays',
  'forget-image',
  'heads',
  'hold',
  'intend',
  'judge',
  'let-go',
  'look-back',
  'mark-file',
  'note-archived',
  'orphans',
  'overdue',
  'queue-timeout',
  'read-log',
  'recount',
  'recount-engine',
  'redispatch',
  'release-due',
  'remove-file',
  'renew',
  'replace-schedule',
  'reprioritize',
  'rerun-array',
  'reserve',
  'seal',
  'settle',
  'set-fair-share',
  'set-quota',
  'snapshot',
  'start',
  'stuck',
  'take-files',
  'unhold',
  'unsealed',
  'upgrade',
  'usage',
] as const;

/** Stands in front of every script, in this order: each part uses those before it. */
const PRELUDE = ['names', 'shares', 'gpus', 'pending', 'arrays', 'transition', 'files', 'ends', 'create'];
type ScriptName = (typeof SCRIPT_NAMES)[number];

/**
 * What runs already must be held and ended while Redis is full, and what has ended be archived, or nothing would ever leave it.
 * Redis refuses a script's first write then, never a later one, as it cannot undo half of a script; so these begin with a write
 * that takes nothing. That holds for Redis 6, 7 and Valkey alike, while the flag `allow-oom` is a syntax error to the first. What
 * they add is bounded by what runs; claims and submissions stay refused, and so is output, but for a note that some of it is missing.
 */
const EVEN_WHEN_FULL: ReadonlySet<ScriptName> = new Set([
  'adopt',
  'beat',
  'cancel',
  'cancel-array',
  'expire',
  'intend',
  'judge',
  'let-go',
  'mark-file',
  'note-archived',
  'remove-file',
  'renew',
  'seal',
  'settle',
  'start',
  'unsealed',
]);
const FIRST_WRITE = "redis.call('DEL', prefix .. ':nothing')\n";

type Argument = string | number | Buffer;

export interface Scripts {
  run(name: ScriptName, ...args: Argument[]): Promise<unknown>;
  /** The same, with every text of the reply as bytes. */
  runRaw(name: 'read-log', ...args: Argument[]): Promise<unknown>;
  /** Sends the script as text, so that it runs before whatever is sent after it, also where the server has forgotten one of them. */
  runInOrder(name: 'append' | 'append_note', ...args: Argument[]): Promise<unknown>;
}

const readScript = (name: string): string =>
  readFileSync(new URL(`../src/scripts/${name}.lua`, import.meta.url), 'utf8');

const commandName = (name: ScriptName): string => `berth_${name.replaceAll('-', '_')}`;

/** Loads every script onto the connection; `run` then sends its hash, and its text only where the server lost it. */
export const createScripts = (redis: Redis, prefix: string): Scripts => {
  const prelude = PRELUDE.map(readScript).join('\n').replace('@BUCKET_BOUNDS_MS@', BUCKET_BOUNDS_MS.join(', '));
  for (const name of SCRIPT_NAMES) {
    redis.defineCommand(commandName(name), {
      numberOfKeys: 0,
      lua: `${prelude}\n${EVEN_WHEN_FULL.has(name) ? FIRST_WRITE : ''}${readScript(name)}`,
    });
  }
  const append = readScript('append');
  const texts = { append, append_note: `local prefix = ARGV[1]\n${FIRST_WRITE}${append}` };
  const commands = redis as unknown as Record<string, (...args: Argument[]) => Promise<unknown>>;
  const call = (name: ScriptName, command: string, args: Argument[]): Promise<unknown> => {
    const found = commands[command];
    if (!found) throw new Error(`script ${name} is not loaded`);
    return found.call(redis, prefix, ...args);
  };
  return {
    run: (name, ...args) => call(name, commandName(name), args),
    runRaw: (name, ...args) => call(name, `${commandName(name)}Buffer`, args),
    runInOrder: (name, ...args) => redis.eval(texts[name], 0, prefix, ...args),
  };
};
