import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { PUBLIC_BIND_CONSENT } from '@berth/domain';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

/** docker-compose 1.29 and compose v2 take the file alike, both builders take the Dockerfile, and neither opens a door. */
const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string): string => readFileSync(`${root}${path}`, 'utf8');

interface Service {
  [key: string]: unknown;
  build?: Record<string, string>;
  environment?: Record<string, unknown>;
  depends_on?: Record<string, Record<string, unknown>>;
  healthcheck?: Record<string, unknown>;
  ports?: unknown[];
  volumes?: unknown[];
}
interface ComposeFile {
  [key: string]: unknown;
  services: Record<string, Service>;
}

const file: ComposeFile = parse(read('docker-compose.yml'), { merge: true });
const services = Object.entries(file.services);

/** What both have been seen to take. A new key is tried on both before it is added here. */
const PORTABLE = new Set([
  ...['build', 'cap_add', 'cap_drop', 'command', 'depends_on', 'environment', 'healthcheck', 'image', 'init'],
  ...[
    'logging',
    'mem_limit',
    'network_mode',
    'networks',
    'pids_limit',
    'ports',
    'read_only',
    'restart',
    'security_opt',
  ],
  ...['stop_grace_period', 'tmpfs', 'user', 'volumes'],
]);

const except = (keys: string[], allowed: Iterable<string>): string[] => {
  const known = new Set(allowed);
  return keys.filter((key) => !known.has(key));
};

/** The variables that a program reads. */
const readKeys = (path: string): string[] =>
  [...read(path).matchAll(/^ {2}([A-Z][A-Z_]+):/gm)].map(([, key]) => `${key}`);

describe('docker-compose.yml', () => {
  it('has no key at the top that one of the two refuses', () => {
    const keys = Object.keys(file).filter((key) => !key.startsWith('x-'));
    expect(except(keys, ['services', 'networks', 'volumes'])).toEqual([]);
    expect(Object.keys(file.services).sort()).toEqual(['api', 'reaper', 'redis', 'worker']);
  });

  it.each(services)('%s uses the portable keys only', (_name, service) => {
    expect(except(Object.keys(service), PORTABLE)).toEqual([]);
    expect(except(Object.keys(service.build ?? {}), ['context', 'dockerfile', 'target'])).toEqual([]);
    expect(except(Object.keys(service.healthcheck ?? {}), ['test', 'interval', 'timeout', 'retries'])).toEqual([]);
    for (const needed of Object.values(service.depends_on ?? {})) expect(Object.keys(needed)).toEqual(['condition']);
    for (const item of [...(service.ports ?? []), ...(service.volumes ?? [])]) expect(item).toBeTypeOf('string');
  });

  it.each(services)('%s is hardened, bounded, and started again', (_name, service) => {
    expect(service).toMatchObject({
      read_only: true,
      init: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      restart: 'unless-stopped',
      mem_limit: expect.any(String),
      pids_limit: expect.any(Number),
      stop_grace_period: expect.any(String),
      logging: { driver: 'json-file', options: { 'max-size': '10m', 'max-file': '3' } },
    });
    expect(service).not.toHaveProperty('privileged');
    expect(service).not.toHaveProperty('container_name');
  });

  it('publishes the API on loopback, and nothing else anywhere', () => {
    const published = services.flatMap(([name, { ports = [] }]) => ports.map((port) => `${name} ${port}`));
    expect(published).toEqual([expect.stringMatching(/^api 127\.0\.0\.1:[^:]*(?::-8000})?:8000$/)]);
  });

  it('gives the socket of the engine to the worker and the reaper alone', () => {
    const holders = services.filter(([, { volumes = [] }]) => volumes.some((mount) => /docker\.sock/.test(`${mount}`)));
    expect(holders.map(([name]) => name).sort()).toEqual(['reaper', 'worker']);
  });

  it('keeps the reaper to the engine and the notes of the workers, which it only reads', () => {
    const { reaper, worker } = file.services;
    expect(reaper).toMatchObject({ network_mode: 'none', image: worker?.image, build: worker?.build });
    expect(reaper).not.toHaveProperty('networks');
    expect(reaper).not.toHaveProperty('depends_on');
    expect(worker?.depends_on).toHaveProperty('reaper');
    const environment = Object.keys(reaper?.environment ?? {});
    expect(except(environment, readKeys('apps/worker/src/reaper/config.ts'))).toEqual([]);
    expect(reaper?.environment?.BERTH_RUN_DIR).toBe('/run/berth');
    expect(worker?.environment?.BERTH_RUN_DIR).toBe('/run/berth');
    expect(worker?.volumes).toContain('run:/run/berth');
    expect(reaper?.volumes).toContain('run:/run/berth:ro');
  });

  it('keeps Redis on a network without a way out or in', () => {
    expect(file.services.redis?.networks).toEqual(['data']);
    expect(file.services.worker?.networks).toEqual(['data']);
    expect(file.networks).toMatchObject({ data: { internal: true } });
  });

  it.each(['api', 'worker'])('tells the %s only what it reads, and that it may bind to all addresses', (name) => {
    const environment = file.services[name]?.environment ?? {};
    const known = readKeys(`apps/${name}/src/config.ts`);
    expect(known).toContain('REDIS_URL');
    expect(except(Object.keys(environment), known)).toEqual([]);
    expect(environment.BERTH_ALLOW_PUBLIC_BIND).toBe(PUBLIC_BIND_CONSENT);
  });
});

it('reads the variables that docs/operations.md lists, and no others', () => {
  const readByFile = [...read('docker-compose.yml').matchAll(/\$\{([A-Z_]+)/g)].map(([, name]) => name);
  const [, table = ''] = /are all that it reads:\n\n((?:\|.*\n)+)/.exec(read('docs/operations.md')) ?? [];
  const names = table.split('\n').map((row) => row.split('|')[1] ?? '');
  const listed = names.flatMap((cell) => [...cell.matchAll(/`([A-Z_]+)`/g)].map(([, name]) => name));
  expect(readByFile).toContain('BERTH_PORT');
  expect(listed.sort()).toEqual([...new Set(readByFile)].sort());
});

describe('deploy/Dockerfile', () => {
  const lines = read('deploy/Dockerfile').split('\n');

  it('has nothing that the older builder does not know', () => {
    expect(lines.filter((line) => /^#\s*syntax=|--mount|--link|--chmod|<</i.test(line))).toEqual([]);
  });

  it('copies the manifest of every workspace, as npm ci needs them all', () => {
    const folders = ['libs', 'apps'].flatMap((parent) =>
      readdirSync(`${root}${parent}`).map((name) => `${parent}/${name}`),
    );
    for (const folder of [...folders, 'bench', 'e2e']) {
      expect(lines).toContain(`COPY ${folder}/package.json ${folder}/`);
    }
  });

  it.each(['api', 'worker'])('has the target %s, which is no root and has a health check', (target) => {
    const begin = lines.indexOf(`FROM program AS ${target}`);
    expect(begin).toBeGreaterThan(0);
    const stage = lines.slice(begin, lines.indexOf('', begin));
    expect(stage.filter((line) => line.startsWith('HEALTHCHECK'))).toHaveLength(1);
    expect(lines).toContain('USER node');
    expect(stage.join('\n')).not.toMatch(/USER|chown/);
  });
});

it('deploy/redis.conf loses nothing that it has accepted', () => {
  const settings = read('deploy/redis.conf').split('\n');
  for (const setting of ['appendonly yes', 'appendfsync always', 'maxmemory-policy noeviction']) {
    expect(settings).toContain(setting);
  }
});
