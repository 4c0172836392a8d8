import type { ApiKey, ApiKeys } from '@berth/store';
import { HELP, type KeyCommand } from './config.js';

/** `lines` are the answer, `notes` are for the person who reads it: where they are apart, a script can take the key alone. */
export interface KeyReply {
  code: 0 | 1;
  lines: string[];
  notes: string[];
}

const DAY_MS = 24 * 3600 * 1000;

const isAlive = ({ revoked_at, expires_at }: ApiKey, now_ms: number): boolean =>
  revoked_at === null && (expires_at === null || expires_at > now_ms);

const toTime = (ms: number | null, none: string): string =>
  ms === null ? none : `${new Date(ms).toISOString().slice(0, 16)}Z`;

const toState = (key: ApiKey, now_ms: number): string => {
  if (key.revoked_at !== null) return 'revoked';
  return isAlive(key, now_ms) ? 'valid' : 'expired';
};

const toRow = (key: ApiKey, now_ms: number): string[] => [
  key.key_id,
  key.user,
  key.role,
  toState(key, now_ms),
  toTime(key.created_at, ''),
  toTime(key.expires_at, 'never'),
  toTime(key.last_used_at, 'never'),
];

const toTable = (rows: string[][]): string[] => {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
};

const HEADINGS = ['PREFIX', 'USER', 'ROLE', 'STATE', 'CREATED', 'EXPIRES', 'LAST USED'];

type Create = Extract<KeyCommand, { kind: 'create' }>;

const create = async (keys: ApiKeys, { user, role, expires_days }: Create, now_ms: number): Promise<KeyReply> => {
  const before = await keys.list();
  const expires_at = expires_days === null ? null : now_ms + expires_days * DAY_MS;
  const { key } = await keys.create({ user, role, expires_at });
  const notes = [`A key for ${user}, ${role}. It is shown this once; send it as \`Authorization: Bearer KEY\`.`];
  if (before.length === 0) notes.push('It is the first: from now on every request needs a key.');
  const isOperated = role === 'operator' || before.some((one) => one.role === 'operator' && isAlive(one, now_ms));
  if (!isOperated) notes.push("No key is an operator's yet: npm run key -- create NAME --role operator");
  return { code: 0, lines: [key], notes };
};

export const runKeyCommand = async (keys: ApiKeys, command: KeyCommand, now_ms: number): Promise<KeyReply> => {
  if (command.kind === 'help') return { code: 0, lines: [HELP.trimEnd()], notes: [] };
  if (command.kind === 'create') return create(keys, command, now_ms);
  if (command.kind === 'list') {
    const rows = (await keys.list()).map((key) => toRow(key, now_ms));
    return rows.length === 0
      ? { code: 0, lines: [], notes: ['No key has been made.'] }
      : { code: 0, lines: toTable([HEADINGS, ...rows]), notes: [] };
  }
  const revoked = await keys.revoke(command.key_id);
  const notes = [revoked ? `${command.key_id} is revoked.` : `There is no key ${command.key_id}.`];
  return { code: revoked ? 0 : 1, lines: [], notes };
};
