import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { BUCKET_BOUNDS_MS } from './counters.js';

const SCRIPT_NAMES = [
  'accept',
  'cancel',
  'claim',
  'dispatch',
  'expire',
  'forget',
  'overdue',
  'queue-timeout',
  'redispatch',
  'release-due',
  'renew',
  'settle',
  'start',
] as const;
type ScriptName = (typeof SCRIPT_NAMES)[number];

type Argument = string | number;

export interface Scripts {
  run(name: ScriptName, ...args: Argument[]): Promise<unknown>;
}

const readScript = (name: string): string =>
  readFileSync(new URL(`../src/scripts/${name}.lua`, import.meta.url), 'utf8');

const commandName = (name: ScriptName): string => `berth_${name.replace('-', '_')}`;

/** Loads every script onto the connection; `run` then sends its hash, and its text only where the server lost it. */
export const createScripts = (redis: Redis, prefix: string): Scripts => {
  const prelude = readScript('transition').replace('@BUCKET_BOUNDS_MS@', BUCKET_BOUNDS_MS.join(', '));
  for (const name of SCRIPT_NAMES) {
    redis.defineCommand(commandName(name), { numberOfKeys: 0, lua: `${prelude}\n${readScript(name)}` });
  }
  const commands = redis as unknown as Record<string, (...args: Argument[]) => Promise<unknown>>;
  return {
    run: (name, ...args) => {
      const command = commands[commandName(name)];
      if (!command) throw new Error(`script ${name} is not loaded`);
      return command.call(redis, prefix, ...args);
    },
  };
};
