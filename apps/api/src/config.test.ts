import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PUBLIC_BIND_CONSENT } from '@berth/domain';
import { describe, expect, it, onTestFinished } from 'vitest';
import { toApiConfig } from './config.js';

const writeClasses = (text: string): string => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-classes-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'classes.json');
  writeFileSync(path, text);
  return path;
};

describe('toApiConfig', () => {
  it('needs nothing', () => {
    const config = toApiConfig({});
    expect(config).toMatchObject({ host: '127.0.0.1', port: 8000, loopbackOnly: true, prefix: 'berth' });
    expect(config.classes.map(({ name }) => name)).toEqual(['small', 'medium', 'large', 'gpu']);
  });

  it('takes an empty variable for an unset one', () => {
    expect(toApiConfig({ BERTH_PORT: '', BERTH_CLASSES_FILE: '' })).toEqual(toApiConfig({}));
  });

  it.each(['0.0.0.0', '::', '192.168.1.5', 'example.com', '128.0.0.1'])(
    'asks everybody for a key on %s, unless told',
    (host) => {
      expect(toApiConfig({ BERTH_HOST: host })).toMatchObject({ host, loopbackOnly: false, openWithoutKeys: false });
      expect(() => toApiConfig({ BERTH_ALLOW_PUBLIC_BIND: 'yes' })).toThrow(/BERTH_ALLOW_PUBLIC_BIND.*yes-anyone/s);
      const told = toApiConfig({ BERTH_HOST: host, BERTH_ALLOW_PUBLIC_BIND: PUBLIC_BIND_CONSENT });
      expect(told).toMatchObject({ host, loopbackOnly: false, openWithoutKeys: true });
    },
  );

  it('answers loopback names only where it is published on loopback and told so', () => {
    const told = {
      BERTH_HOST: '0.0.0.0',
      BERTH_ALLOW_PUBLIC_BIND: PUBLIC_BIND_CONSENT,
      BERTH_LOOPBACK_NAMES_ONLY: 'true',
    };
    expect(toApiConfig(told).loopbackOnly).toBe(true);
    expect(toApiConfig({ BERTH_LOOPBACK_NAMES_ONLY: 'false' }).loopbackOnly).toBe(true);
  });

  it.each(['127.0.0.1', '127.8.9.1', '::1', 'localhost'])('binds to %s unasked', (host) => {
    expect(toApiConfig({ BERTH_HOST: host }).loopbackOnly).toBe(true);
  });

  it('names everything that is wrong at once', () => {
    const wrong = {
      BERTH_PORT: 'x',
      BERTH_ALLOW_PUBLIC_BIND: 'yes',
      REDIS_URL: 'http://x',
      BERTH_RETENTION_SECONDS: '1',
      DATABASE_URL: 'mysql://x',
      BERTH_ARCHIVE_AFTER_SECONDS: '-1',
      BERTH_KEEP_FINISHED: 'many',
      BERTH_CLASSES_FILE: '/nowhere/classes.json',
    };
    const message = (() => {
      try {
        toApiConfig(wrong);
      } catch (error) {
        return (error as Error).message;
      }
      return '';
    })();
    for (const name of Object.keys(wrong)) expect(message).toContain(name);
  });

  it('reads classes from a file, and says what is wrong with it', () => {
    const good = writeClasses('[{"name":"tiny","max_cpus":0.5,"max_memory_mb":128}]');
    expect(toApiConfig({ BERTH_CLASSES_FILE: good }).classes).toMatchObject([{ name: 'tiny', max_gpus: 0 }]);
    const bad = writeClasses('[{"name":"Tiny","max_cpus":0.5,"max_memory_mb":128}]');
    expect(() => toApiConfig({ BERTH_CLASSES_FILE: bad })).toThrow(/BERTH_CLASSES_FILE.*lower-case/s);
  });

  it('reads a list of registries', () => {
    const { allowedRegistries } = toApiConfig({ BERTH_ALLOWED_REGISTRIES: 'localhost:5000, 10.0.0.1 ,' });
    expect(allowedRegistries).toEqual(['localhost:5000', '10.0.0.1']);
  });
});
