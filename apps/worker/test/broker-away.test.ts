import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseRedisUrl } from '@berth/store';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createFakeEngine, createFakeRuntime } from '../src/runtime/fake-runtime.js';
import { defer } from './fakes.js';
import { NOTHING, openRig } from './open-rig.js';

/** A way to the broker that can be cut and mended. */
const openCuttableBroker = async () => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-cut-'));
  const path = join(folder, 'redis.sock');
  const target = parseRedisUrl(process.env.REDIS_URL ?? '');
  const sockets = new Set<Socket>();
  const join2 = (client: Socket) => {
    const to = target.path ? connect(target.path) : connect(target.port ?? 6379, target.host ?? '127.0.0.1');
    for (const socket of [client, to]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        client.destroy();
        to.destroy();
        sockets.delete(socket);
      });
    }
    client.pipe(to).pipe(client);
  };
  let server: Server | undefined;
  const mend = async () => {
    server = createServer(join2).listen(path);
    await once(server, 'listening');
  };
  const cut = async () => {
    const closed = new Promise((resolve) => server?.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  onTestFinished(async () => {
    await cut();
    rmSync(folder, { recursive: true, force: true });
  });
  await mend();
  return { url: `unix://${path}`, cut, mend };
};

const openCutWorker = async () => {
  const ends = [defer(), defer()];
  const broker = await openCuttableBroker();
  const rig = openRig('away');
  let started = 0;
  const engine = createFakeEngine({
    program: () => {
      const until = ends[started]?.promise ?? Promise.resolve();
      started += 1;
      return { until, output: [{ stream: 'stdout', data: 'hi\n' }] };
    },
  });
  const opened = await rig.openWorker({ runtime: createFakeRuntime(engine, rig.prefix) }, { REDIS_URL: broker.url });
  return { ...opened, rig, broker, engine, ends };
};

describe('a broker that goes away', () => {
  it('is waited for: a job that ends meanwhile is recorded once, and the next one runs', async () => {
    const { rig, broker, engine, ends, book } = await openCutWorker();
    const id = await rig.submit();
    await vi.waitFor(async () => expect((await rig.store.jobs.read(id))?.started_at).not.toBeNull());
    await broker.cut();
    ends[0]?.resolve();
    await vi.waitFor(() => expect(engine.containers.values().next().value?.state).toBe('ended'));
    await vi.waitFor(() => expect(book.find('the broker does not answer')).toBeGreaterThan(0));
    expect((await rig.store.jobs.read(id))?.state).toBe('running');
    await broker.mend();
    await rig.untilState(id, 'completed');
    expect(await rig.history(id)).toEqual(['submitted', 'claimed', 'started', 'completed']);
    expect((await rig.readLog(id)).toString()).toBe('hi\n');
    ends[1]?.resolve();
    await rig.untilState(await rig.submit(), 'completed', 20_000);
    expect(await rig.store.workers.readReserved('fake-engine')).toEqual(NOTHING);
    expect(book.lines.filter((line) => line.level > 40)).toEqual([]);
  });

  it('does not keep a worker from stopping', async () => {
    const { rig, broker, engine, stop } = await openCutWorker();
    const id = await rig.submit();
    await vi.waitFor(async () => expect((await rig.store.jobs.read(id))?.started_at).not.toBeNull());
    await broker.cut();
    await stop();
    expect([...engine.containers.values()].map((c) => c.state)).toEqual(['ended']);
    expect((await rig.store.jobs.read(id))?.state).toBe('running');
    await broker.mend();
  });
});
