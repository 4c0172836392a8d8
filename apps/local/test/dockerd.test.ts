import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { loadConfig } from '../src/config.js';
import { readEngineState } from '../src/docker-client.js';
import { openDockerd } from '../src/dockerd.js';
import { findProgram } from '../src/find-program.js';
import { readLeftovers } from '../src/process-record.js';
import type { Supervised } from '../src/supervisor.js';
import { waitUntil } from '../src/wait-until.js';

const { path, env } = loadConfig();
const program = process.getuid?.() === 0 ? findProgram(['dockerd'], path) : undefined;

let dataDir: string;
let dockerd: Supervised | undefined;

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'berth-dockerd-'));
});
afterEach(async () => {
  await dockerd?.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

/** A dockerd of its own in a network of its own: one without a bridge removes whatever `docker0` it finds, also the machine's. */
const open = async (lines: string[]) => {
  const wrapper = join(dataDir, 'dockerd');
  writeFileSync(
    wrapper,
    `#!/bin/sh\nexec unshare --net ${program} --bridge=none --iptables=false --ip6tables=false "$@"\n`,
    {
      mode: 0o755,
    },
  );
  const place = (name: string) => join(dataDir, name);
  const paths = { socket: place('s'), dataRoot: place('lib'), execRoot: place('exec'), pidFile: place('pid') };
  dockerd = await openDockerd(wrapper, { paths, dataDir, path, env, say: (line) => lines.push(line) });
  return { host: `unix://${paths.socket}`, first: readLeftovers(dataDir).get('dockerd') };
};

const readBridges = () => readdirSync('/sys/class/net').filter((name) => name.startsWith('docker'));

it.skipIf(!program)(
  'an engine of ours that is killed comes back by itself',
  async () => {
    const lines: string[] = [];
    const bridges = readBridges();
    const { host, first } = await open(lines);
    expect(first?.pid).toBe(dockerd?.pid());
    process.kill(first?.pid ?? 0, 'SIGKILL');
    const isBack = async () => dockerd?.pid() !== first?.pid && (await readEngineState(host, 2_000)).answers;
    expect(await waitUntil(isBack, { timeout_ms: 90_000, interval_ms: 50 })).toBe(true);
    expect(lines).toEqual(['The Docker engine was killed by SIGKILL; starting it again in 0.5 s.']);
    await dockerd?.stop();
    expect((await readEngineState(host, 2_000)).answers).toBe(false);
    expect(readLeftovers(dataDir).size).toBe(0);
    expect(readBridges()).toEqual(bridges);
  },
  180_000,
);
