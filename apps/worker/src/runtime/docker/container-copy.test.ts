import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import type Docker from 'dockerode';
import { describe, expect, it } from 'vitest';
import { TAR_END, toTarHeader } from '../../files/tar-header.js';
import { copyIn, copyOut } from './container-copy.js';

const HostConfig = { ReadonlyRootfs: true };
const toContainer = (calls: object) =>
  ({
    inspect: async () => ({ HostConfig, Config: { WorkingDir: '/workspace' } }),
    ...calls,
  }) as unknown as Docker.Container;

async function* once(bytes: Buffer) {
  yield bytes;
}

/** Takes everything, and keeps it. */
const createTaker = () => {
  const taken: Buffer[] = [];
  const putArchive = async (source: Readable) => {
    for await (const chunk of source) taken.push(chunk);
  };
  return { taken, container: toContainer({ putArchive }) };
};

describe('what is copied into a container', () => {
  it('is never compressed', async () => {
    const tar = Buffer.concat([toTarHeader({ name: 'a/', bytes: 0, mode: 0o755, owner: 0 }), TAR_END]);
    const { container, taken } = createTaker();
    await copyIn(container, once(tar));
    expect(Buffer.concat(taken).includes(tar)).toBe(true);
    for (const packed of [gzipSync(tar), Buffer.from('fd377a585a000000', 'hex'), Buffer.alloc(700, 1)]) {
      await expect(copyIn(createTaker().container, once(packed))).rejects.toThrow(TypeError);
    }
  });

  it('goes through this file, beside the one file of ours that is no job’s', () => {
    const src = new URL('../../', import.meta.url).pathname;
    const files = readdirSync(src, { recursive: true }).map(String);
    const callers = files.filter(
      (file) => /(?<!\.test)\.ts$/.test(file) && readFileSync(join(src, file), 'utf8').includes('putArchive'),
    );
    expect(callers.sort()).toEqual(['runtime/docker/container-copy.ts', 'runtime/docker/hosts-file.ts']);
  });

  it('does not wait for ever for an engine that takes nothing', async () => {
    const container = toContainer({ putArchive: () => new Promise(() => {}) });
    await expect(copyIn(container, once(Buffer.alloc(1024)), { stall_ms: 20 })).rejects.toMatchObject({
      code: 'engine_unavailable',
      retryable: true,
    });
  });

  it('is broken off when it is told to', async () => {
    const controller = new AbortController();
    const container = toContainer({
      putArchive: () => {
        controller.abort();
        return new Promise(() => {});
      },
    });
    const copied = copyIn(container, once(Buffer.alloc(1024)), { signal: controller.signal });
    await expect(copied).rejects.toMatchObject({ code: 'engine_unavailable' });
  });
});

describe('what is copied out of a container', () => {
  it('is not kept in memory once it has gone by', async () => {
    const CHUNK = 1024 * 1024;
    const archive = async function* () {
      for (let i = 0; i < 500; i += 1) yield Buffer.alloc(CHUNK, 1);
    };
    const container = toContainer({ getArchive: async () => Readable.from(archive(), { objectMode: false }) });
    const before = process.memoryUsage().arrayBuffers;
    let peak = 0;
    for await (const _ of copyOut(container, '')) peak = Math.max(peak, process.memoryUsage().arrayBuffers - before);
    expect(peak).toBeLessThan(250 * CHUNK);
  });

  it('is refused for one path where the engine reads others, and else the engine is in trouble', async () => {
    const trouble = async () => {
      throw Object.assign(new Error('no'), { statusCode: 500 });
    };
    const root = Buffer.from(JSON.stringify({ mode: 2 ** 31 + 0o755 })).toString('base64');
    const infoArchive = async ({ path }: { path: string }) => {
      expect(path).toBe('/');
      return Object.assign(Readable.from([]), { headers: { 'x-docker-container-path-stat': root } });
    };
    for (const [code, calls] of [
      ['path_refused', { getArchive: trouble, infoArchive }],
      ['engine_unavailable', { getArchive: trouble, infoArchive: trouble }],
    ] as const) {
      await expect(copyOut(toContainer(calls), 'self').next()).rejects.toMatchObject({ code });
    }
  });

  it('does not wait for ever for an engine that gives nothing, at the beginning or on the way', async () => {
    const never = toContainer({ getArchive: () => new Promise(() => {}) });
    const stalling = toContainer({
      getArchive: async () =>
        new Readable({
          read() {
            if (this.readableLength === 0 && !this.readableDidRead) this.push(Buffer.from('first'));
          },
        }),
    });
    for (const container of [never, stalling]) {
      const all = async () => {
        for await (const _ of copyOut(container, '', { stall_ms: 20 }));
      };
      await expect(all()).rejects.toMatchObject({ code: 'engine_unavailable' });
    }
  });
});
