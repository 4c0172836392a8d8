import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ROLES, type Role, userNameSchema } from '@berth/domain';
import { toRedisUrl } from '@berth/store';

export type KeyCommand =
  | { kind: 'help' }
  | { kind: 'list' }
  | { kind: 'create'; user: string; role: Role; expires_days: number | null }
  | { kind: 'revoke'; key_id: string };

export interface KeyConfig {
  command: KeyCommand;
  redisUrl: string;
  prefix: string;
}

export const HELP = `Makes, lists and revokes API keys. Once the first is made, every request needs one.

  npm run key -- create NAME [--role user|operator] [--expires-days N]
  npm run key -- list
  npm run key -- revoke PREFIX

NAME is whose key it is: a-z, 0-9, ".", "_", "@" and "-". A user sees their own jobs, an operator everything. The key is shown once.
PREFIX is how \`list\` names a key: the 8 characters after "berth_".

It reads REDIS_URL and BERTH_PREFIX; without REDIS_URL it finds the broker of \`npm start\` by BERTH_DATA_DIR.
`;

const FLAGS = {
  help: { type: 'boolean', default: false },
  role: { type: 'string' },
  'expires-days': { type: 'string' },
} as const;

const LONGEST_DAYS = 3_650;

const parseName = (name: string | undefined): string => {
  const parsed = userNameSchema.safeParse(name ?? '');
  if (!parsed.success) throw new Error(`NAME ${parsed.error.issues[0]?.message}`);
  return parsed.data;
};

const parseRole = (text = 'user'): Role => {
  const role = ROLES.find((known) => known === text);
  if (!role) throw new Error(`--role is one of ${ROLES.join(' and ')}`);
  return role;
};

const parseDays = (text: string | undefined): number | null => {
  if (text === undefined) return null;
  const days = Number(text);
  if (/^\d+$/.test(text) && days >= 1 && days <= LONGEST_DAYS) return days;
  throw new Error(`--expires-days is a whole number from 1 to ${LONGEST_DAYS}`);
};

/** Also takes the whole key, or its beginning: that is what people have at hand. */
const parseKeyId = (text = ''): string => {
  const key_id = /^(?:berth_)?([a-z0-9]{8})(?:_.*)?$/.exec(text)?.[1];
  if (key_id === undefined)
    throw new Error('PREFIX is the 8 characters after "berth_", as `npm run key -- list` shows them');
  return key_id;
};

/** Throws an Error that says what is wrong with the arguments. */
export const parseKeyCommand = (args: string[]): KeyCommand => {
  const { values, positionals } = parseArgs({ args, options: FLAGS, allowPositionals: true });
  const [kind, subject, ...rest] = positionals;
  if (values.help || kind === undefined) return { kind: 'help' };
  const options = kind === 'create' ? [] : [values.role, values['expires-days']].filter((value) => value !== undefined);
  if (rest.length > 0 || options.length > 0 || (kind === 'list' && subject !== undefined)) {
    throw new Error(`\`${kind}\` does not take that many words or options: see --help`);
  }
  if (kind === 'list') return { kind };
  if (kind === 'revoke') return { kind, key_id: parseKeyId(subject) };
  if (kind !== 'create') throw new Error(`there is create, list and revoke, and no \`${kind}\``);
  return {
    kind,
    user: parseName(subject),
    role: parseRole(values.role),
    expires_days: parseDays(values['expires-days']),
  };
};

const root = fileURLToPath(new URL('../../../../', import.meta.url));

/** What \`npm start\` left word of, where it runs. */
const findLocalBroker = (env: NodeJS.ProcessEnv): string | undefined => {
  const note = resolve(root, env.BERTH_DATA_DIR || '.berth', 'broker');
  return existsSync(note) ? readFileSync(note, 'utf8').trim() : undefined;
};

export const toKeyConfig = (args: string[], env: NodeJS.ProcessEnv): KeyConfig => ({
  command: parseKeyCommand(args),
  redisUrl: toRedisUrl(env) ?? findLocalBroker(env) ?? 'redis://127.0.0.1:6379',
  prefix: env.BERTH_PREFIX || 'berth',
});

export const readKeyConfig = (): KeyConfig => toKeyConfig(process.argv.slice(2), process.env);
