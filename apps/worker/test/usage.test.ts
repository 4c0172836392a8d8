import { existsSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import Docker from 'dockerode';
import { describe, expect, it, vi } from 'vitest';
import { createReadUsage } from '../src/runtime/docker/container-usage.js';
import { openRig, untilWritten } from './open-rig.js';

/** Works, writes, waits for its end; holds 8 MB of memory in a file on its way. */
const WORK =
  'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; head -c 8000000 /dev/zero > /tmp/x; sync; echo done; sleep 600';

describe('what is in use on a real machine', () => {
  it('is told by each heartbeat where the worker sees the machine of its engine, and nowhere else', async () => {
    const rig = openRig('usage');
    const { context } = await rig.openWorker({}, { HEARTBEAT_INTERVAL: '0.2' });
    const { cpus: count, memory_mb, data_root } = context.engine;
    const isSame = count === cpus().length && memory_mb === Math.floor(totalmem() / 1024 / 1024);
    const readNode = async () => (await rig.store.workers.readNodes())[0];
    const opened_at = Date.now();
    await vi.waitFor(async () => expect((await readNode())?.last_heartbeat).toBeGreaterThan(opened_at + 500), 60_000);
    const { used, disk } = (await readNode()) ?? {};
    expect(used === null).toBe(!isSame);
    if (isSame) expect(used?.memory_mb).toBeGreaterThan(0);
    if (isSame) expect(used?.cpus).toBeLessThanOrEqual(count);
    expect(disk === null).toBe(!existsSync(data_root ?? ''));
  });
});

describe('what a job uses on a real engine', () => {
  it('is seen while it runs, by the kernel as by the engine, and stays with its attempt', async () => {
    const rig = openRig('usage');
    const { context } = await rig.openWorker();
    const id = await rig.submit({ command: WORK, memory_mb: 64, stop_grace_seconds: 0, network: 'egress' });
    const noted = await vi.waitFor(
      async () => {
        const record = await rig.store.jobs.read(id);
        expect(record?.usage?.memory_peak_bytes).toBeGreaterThan(8_000_000);
        return record?.usage;
      },
      { timeout: 60_000, interval: 50 },
    );
    // What it uses grows no more.
    await untilWritten(rig, id, 'done');
    expect(noted?.cpu_seconds).toBeGreaterThan(0.01);
    expect(noted?.cpu_seconds).toBeLessThan(20);
    expect(noted?.network_rx_bytes).toBeTypeOf('number');

    const [found] = await context.runtime.list(id);
    const container = new Docker().getContainer(found?.id ?? '');
    const kernel = await createReadUsage()(container);
    const engine = await createReadUsage({ cgroups: '/no/such/folder', proc: '/proc' })(container);
    expect(engine?.cpu_seconds).toBeCloseTo(kernel?.cpu_seconds ?? -1, 1);
    expect(Math.abs((engine?.memory_peak_bytes ?? 0) - (kernel?.memory_peak_bytes ?? -1))).toBeLessThan(4_000_000);
    for (const name of ['block_write_bytes', 'block_read_bytes', 'network_rx_bytes', 'network_tx_bytes'] as const) {
      expect(Math.abs((engine?.[name] ?? -1) - (kernel?.[name] ?? -1e9))).toBeLessThan(10_000);
    }

    await rig.store.jobs.cancel(id);
    const ended = await rig.untilState(id, 'cancelled');
    expect(ended.usage).toBeNull();
    expect(ended.attempts[0]?.usage?.memory_peak_bytes).toBeGreaterThan(8_000_000);
    expect(await context.runtime.open(found?.id ?? '').readUsage()).toBeUndefined();
  });
});
