import { randomUUID } from 'node:crypto';
import Docker from 'dockerode';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ContainerOptions } from '../src/runtime/container-runtime.js';
import { createDockerRuntime } from '../src/runtime/docker/docker-runtime.js';
import { removeLeftVolumes } from '../src/runtime/docker/left-volumes.js';
import { collect, FINE, IMAGE, toOptions } from './conformance.js';
import { type CuttableEngine, openCuttableEngine } from './cuttable-engine.js';

const installation = `test-${randomUUID()}`;
const docker = new Docker();
const runtime = createDockerRuntime({ installation, probe_image: IMAGE });

const sh = (script: string, more: Partial<ContainerOptions> = {}) =>
  toOptions({ argv: ['/bin/sh', '-c', script], fake: {} }, installation, more);

const run = async (script: string, more: Partial<ContainerOptions> = {}) => {
  const output = collect();
  const container = await runtime.create(sh(script, more));
  await container.start(output.sink);
  const report = await container.ended();
  return { report, stdout: output.stdout().toString(), stderr: output.stderr().toString() };
};

const createDeferred = () => {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((r) => {
    resolve = r;
  });
  return { promise, resolve };
};

const removeAll = async () => {
  for (const { id } of await runtime.list()) await runtime.open(id).remove();
};

afterEach(removeAll);
afterAll(() => runtime.close());

describe('the volume of a container with files', () => {
  const list = async () => {
    const filters = JSON.stringify({ label: [`berth.installation=${installation}`] });
    const { Volumes } = (await docker.listVolumes({ filters } as object)) as { Volumes: { Name: string }[] | null };
    return Volumes ?? [];
  };

  test('goes with it, however it is removed, and later where somebody else has removed it', async () => {
    const make = () => runtime.create(sh('true', { profile: 'strict', has_files: true }));
    await (await make()).remove();
    await (await make()).discard();
    expect(await list()).toEqual([]);
    const kept = await make();
    const other = await make();
    await docker.getContainer(other.id).remove({ force: true });
    expect(await list()).toHaveLength(2);
    expect(await runtime.removeLeftovers()).toBe(0);
    expect(await removeLeftVolumes(docker, installation, -60_000)).toBe(1);
    expect(await list()).toHaveLength(1);
    await kept.remove();
    expect(await list()).toEqual([]);
  });
});

describe('a container is locked down', () => {
  test.each(['standard', 'strict'] as const)('no capability, no new privilege, seccomp: %s', async (profile) => {
    const { stdout } = await run('grep -E "^(CapEff|CapBnd|NoNewPrivs|Seccomp):" /proc/self/status', { profile });
    expect(stdout.replace(/\s+/g, ' ').trim()).toBe(
      'CapEff: 0000000000000000 CapBnd: 0000000000000000 NoNewPrivs: 1 Seccomp: 2',
    );
  });

  test('limits hold: processes, memory and swap together, core files', async () => {
    const container = await runtime.create(sh('true', { memory_mb: 48 }));
    const { HostConfig } = await docker.getContainer(container.id).inspect();
    expect(HostConfig).toMatchObject({ PidsLimit: 256, Memory: 48 * 2 ** 20, MemorySwap: 48 * 2 ** 20, Init: true });
    const { stdout, stderr, report } = await run('ulimit -c; for i in $(seq 400); do sleep 600 & done', {
      memory_mb: 256,
    });
    expect(stdout).toBe('0\n');
    expect(stderr).toContain('fork');
    expect(report).toMatchObject({ kind: 'exited', memory: FINE });
    expect(report).not.toMatchObject({ exit_code: 0 });
  });

  test('strict: nobody, read-only but for /tmp without programs and /workspace with scripts', async () => {
    const script = [
      'id -u',
      'touch /etc/x 2>&1',
      'printf "#!/bin/sh\\necho ran" > script; chmod +x script; ./script',
      'cp script /tmp; /tmp/script 2>&1',
      'head -c 40000000 /dev/zero > big; echo $?',
    ].join('\n');
    const { stdout, report } = await run(script, { profile: 'strict', memory_mb: 64 });
    const [uid, touched, ran, denied, full] = stdout.trim().split('\n');
    expect(uid).toBe('65534');
    expect(touched).toContain('Read-only file system');
    expect(ran).toBe('ran');
    expect(denied).toContain('Permission denied');
    expect(full).toBe('1');
    expect(report).toMatchObject({ kind: 'exited', memory: FINE });
  });

  test('without a network there is only localhost, and it has its name', async () => {
    const { stdout } = await run('ip -o link | cut -d: -f2; ping -c1 localhost 2>&1 | head -n 1');
    expect(stdout).toMatch(/^ lo\nPING localhost \(127\.0\.0\.1\)/);
  });

  test('with egress two containers cannot reach each other, and there is one such network', async () => {
    const server = await runtime.create(sh('nc -lp 8000 < /dev/null', { network: 'egress' }));
    await server.start(() => undefined);
    const { NetworkSettings } = await docker.getContainer(server.id).inspect();
    const address = Object.values(NetworkSettings.Networks)[0]?.IPAddress;
    expect(address).toMatch(/^\d+\./);
    const { stdout } = await run(`ip -o -4 addr | grep -c eth0; nc -w 2 ${address} 8000 < /dev/null; echo nc $?`, {
      network: 'egress',
    });
    expect(stdout).toBe('1\nnc 1\n');
    const inside = await docker.getContainer(server.id).exec({ Cmd: ['nc', '-w', '2', `${address}`, '8000'] });
    await inside.start({ Detach: true });
    expect(await server.ended()).toMatchObject({ kind: 'exited', exit_code: 0 });
    const networks = await docker.listNetworks({ filters: { name: ['berth-egress'] } });
    expect(networks.filter((n) => n.Name === 'berth-egress')).toHaveLength(1);
  });

  test('init reaps, and takes every process with it: a stray child holds nothing up', async () => {
    const begun = performance.now();
    const { report, stdout } = await run('(setsid sleep 600 &); echo done');
    expect(report).toMatchObject({ kind: 'exited', exit_code: 0 });
    expect(stdout).toBe('done\n');
    expect(performance.now() - begun).toBeLessThan(100_000);
  });

  test('the job is told its id, attempt and epoch', async () => {
    const options = sh('echo $BERTH_JOB_ID $BERTH_ATTEMPT $BERTH_EPOCH $GREETING', { env: { GREETING: 'hello' } });
    const output = collect();
    const container = await runtime.create(options);
    await container.start(output.sink);
    await container.ended();
    expect(output.stdout().toString()).toBe(`${options.labels.job_id} 1 1 hello\n`);
  });
});

describe('output of any size and kind', () => {
  const measure = async (script: string) => {
    let bytes = 0;
    let peak = 0;
    const container = await runtime.create(sh(script));
    globalThis.gc?.();
    const before = process.memoryUsage().rss;
    await container.start((_, chunk) => {
      bytes += chunk.length;
      peak = Math.max(peak, process.memoryUsage.rss());
    });
    const report = await container.ended();
    return { report, bytes, grown: peak - before };
  };

  test('a line of 20 MB arrives whole', async () => {
    const { report, bytes } = await measure('head -c 20000000 /dev/zero | tr "\\000" x');
    expect(report).toMatchObject({ exit_code: 0 });
    expect(bytes).toBe(20_000_000);
  });

  test('200 MB arrive whole and leave no trace in memory', async () => {
    const { report, bytes, grown } = await measure('yes "$(seq 1 40 | tr "\\n" .)" | head -c 200000000');
    expect(report).toMatchObject({ exit_code: 0 });
    expect(bytes).toBe(200_000_000);
    expect(grown).toBeLessThan(50 * 2 ** 20);
  }, 240_000);
});

describe('what can go wrong with the engine', () => {
  let engine: CuttableEngine;
  beforeAll(async () => {
    engine = await openCuttableEngine();
  });
  afterAll(() => engine.close());

  const startBehind = async (script: string) => {
    const behind = createDockerRuntime({ installation, engine: engine.address });
    const container = await behind.create(sh(script));
    const first = createDeferred();
    await container.start(first.resolve);
    await first.promise;
    return { behind, container };
  };

  test('the connection breaks and comes back: the true end is still reported', async () => {
    const { behind, container } = await startBehind('echo up; sleep 1; exit 7');
    const ended = container.ended();
    await engine.cut();
    await docker.getContainer(container.id).wait();
    await engine.heal();
    expect(await ended).toMatchObject({ kind: 'exited', exit_code: 7 });
    await behind.close();
  });

  test('a death that we missed is still told by an engine that did not', async () => {
    const { behind, container } = await startBehind('echo up; exec sleep 600');
    const ended = container.ended();
    await engine.cut();
    await docker.getContainer(container.id).kill();
    await engine.heal();
    expect(await ended).toMatchObject({ kind: 'exited', exit_code: 137, outside_signal: 9 });
    await behind.close();
  });

  test('a closed runtime leaves the container alone and lets go of whoever waits', async () => {
    const { behind, container } = await startBehind('echo up; exec sleep 600');
    const ended = container.ended();
    await behind.close();
    await expect(ended).rejects.toMatchObject({ code: 'engine_unavailable' });
    expect(await runtime.list()).toMatchObject([{ id: container.id, state: 'running' }]);
  });

  test('an engine that is not there is a fault, not a hang', async () => {
    await engine.cut();
    const behind = createDockerRuntime({ installation, engine: engine.address });
    const fault = { code: 'engine_unavailable', retryable: true };
    await expect(behind.describe()).rejects.toMatchObject(fault);
    await expect(behind.list()).rejects.toMatchObject(fault);
    await expect(behind.create(sh('true'))).rejects.toMatchObject(fault);
    await engine.heal();
    expect(await behind.describe()).toMatchObject({ cpus: expect.any(Number) });
    await behind.close();
  });

  test('the truth about an end without trouble costs the engine one look', async () => {
    const behind = createDockerRuntime({ installation, engine: engine.address });
    const container = await behind.create(sh('exit 0'));
    await container.start(() => undefined);
    expect(await container.ended()).toMatchObject({ exit_code: 0, memory: FINE, outside_signal: null });
    const calls = engine.sent().match(/(GET|POST|HEAD) \/\S* HTTP/g) ?? [];
    const of_it = calls.filter((call) => call.includes(container.id)).map((call) => call.replace(container.id, 'ID'));
    expect(of_it.map((call) => call.split(/[ ?]/)[1])).toEqual([
      '/containers/ID/attach',
      '/containers/ID/wait',
      '/containers/ID/start',
      '/containers/ID/json',
    ]);
    await container.remove();
    await behind.close();
  });

  test('nothing of a job but its name stands in a URL', async () => {
    const behind = createDockerRuntime({ installation, engine: engine.address });
    const options = sh('echo $SECRET', { env: { SECRET: 'hunter2' } });
    const container = await behind.create(options);
    await container.start(() => undefined);
    await container.ended();
    const urls = engine.sent().match(/^(GET|POST|DELETE|HEAD) \S+ HTTP/gm) ?? [];
    expect(engine.sent()).toContain('hunter2');
    expect(urls.join('\n')).toContain(options.name);
    expect(urls.join('\n')).not.toMatch(/hunter2|echo|SECRET/);
    await behind.close();
  });
});
