import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Berth, createBerth } from '../src/berth.js';
import { type Config, loadConfig } from '../src/config.js';
import { isAlive, readLeftovers } from '../src/process-record.js';
import { waitUntil } from '../src/wait-until.js';

const fixture = (name: string) => fileURLToPath(new URL(`./fixtures/${name}.mjs`, import.meta.url));
const programs = { api: fixture('api'), worker: fixture('worker') };

const findFreePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
};

let config: Config;
let lines: string[];
const opened: Berth[] = [];

const create = (more: Partial<Config> = {}): Berth => {
  const berth = createBerth({ ...config, ...more }, (line) => lines.push(line), programs);
  opened.push(berth);
  return berth;
};

beforeEach(async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'berth-local-'));
  const [port, workerPort] = [await findFreePort(), await findFreePort()];
  config = { ...loadConfig(), dataDir, port, workerPort, redisUrl: undefined };
  lines = [];
});
afterEach(async () => {
  for (const berth of opened.splice(0)) await berth.stop();
  rmSync(config.dataDir, { recursive: true, force: true });
});

describe('Berth on one machine', () => {
  it('starts everything, shows the first job, and leaves no process behind', async () => {
    const berth = create();
    await berth.start();
    const said = lines.join('\n');
    expect(said).toMatch(/Broker: .*\n/);
    expect(said).toMatch(/First job j-1: uname -a\n {2}said by the stand-in on /);
    expect(said).toContain(`curl -s http://127.0.0.1:${config.port}/v1/jobs `);
    const records = [...readLeftovers(config.dataDir).values()];
    expect(records.length).toBeGreaterThanOrEqual(2);
    await berth.stop();
    expect(records.filter(isAlive)).toEqual([]);
  });

  it('refuses a second start on the same folder, and the first goes on', async () => {
    await create().start();
    await expect(create({ port: await findFreePort() }).start()).rejects.toThrow(/already runs/);
    expect((await fetch(`http://127.0.0.1:${config.port}/ready`)).ok).toBe(true);
  });

  it('names the port that is taken', async () => {
    await create().start();
    const dataDir = mkdtempSync(join(tmpdir(), 'berth-local-'));
    await expect(create({ dataDir }).start()).rejects.toThrow(new RegExp(`Port ${config.port}.*set BERTH_PORT`));
    rmSync(dataDir, { recursive: true, force: true });
  });

  it('starts an API that died again', async () => {
    await create().start();
    const first = readLeftovers(config.dataDir).get('api');
    process.kill(first?.pid ?? 0, 'SIGKILL');
    const isBack = () => (readLeftovers(config.dataDir).get('api')?.pid ?? first?.pid) !== first?.pid;
    expect(await waitUntil(isBack, { timeout_ms: 10_000 })).toBe(true);
    expect(lines).toContain('api    │ was killed by SIGKILL; starting it again in 0.5 s');
  });

  it('stops in the middle of a start', async () => {
    const berth = create();
    const starting = berth.start();
    const refused = expect(starting).rejects.toThrow('stopped');
    await berth.stop();
    await refused;
    expect(readLeftovers(config.dataDir).size).toBe(0);
    await create().start();
  });
});
