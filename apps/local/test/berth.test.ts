import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Berth, createBerth } from '../src/berth.js';
import { type Config, loadConfig } from '../src/config.js';
import { findProgram } from '../src/find-program.js';
import { findFreePort } from '../src/port.js';
import { isAlive, readLeftovers } from '../src/process-record.js';
import { waitUntil } from '../src/wait-until.js';

const fixture = (name: string) => fileURLToPath(new URL(`./fixtures/${name}.mjs`, import.meta.url));
const programs = { api: fixture('api'), worker: fixture('worker'), reaper: fixture('reaper') };

const hasServer = findProgram(['valkey-server', 'redis-server'], loadConfig().path) !== undefined;

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

  it('starts again whatever is killed', async () => {
    await create().start();
    const before = readLeftovers(config.dataDir);
    for (const { pid } of before.values()) process.kill(pid, 'SIGKILL');
    const isBack = (name: string) =>
      (readLeftovers(config.dataDir).get(name)?.pid ?? before.get(name)?.pid) !== before.get(name)?.pid;
    const names = ['api', 'worker', 'reaper', ...(hasServer ? ['redis'] : [])];
    expect([...before.keys()].sort()).toEqual(names.sort());
    expect(await waitUntil(() => names.every(isBack), { timeout_ms: 60_000 })).toBe(true);
    for (const name of ['api   ', 'worker', 'reaper'])
      expect(lines).toContain(`${name} │ was killed by SIGKILL; starting it again in 0.5 s`);
    const answers = async () =>
      (await fetch(`http://127.0.0.1:${config.port}/ready`).catch(() => undefined))?.ok === true;
    expect(await waitUntil(answers, { timeout_ms: 60_000 })).toBe(true);
  });

  it('leaves no container behind: the worker is told to kill, and the reaper goes after it', async () => {
    const berth = create();
    await berth.start();
    const told = (line: string) => lines.some((said) => said.startsWith(line));
    for (const line of ['worker │ warn: worker --kill on ', 'reaper │ warn: folder: true'])
      expect(await waitUntil(() => told(line), { timeout_ms: 60_000 })).toBe(true);
    await berth.stop();
    const stops = lines.filter((line) => line.endsWith('stopped'));
    expect(stops).toEqual(['worker │ warn: stopped', 'reaper │ warn: stopped']);
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
