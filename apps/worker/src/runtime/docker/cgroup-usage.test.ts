import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createCgroupUsage } from './cgroup-usage.js';
import { parseStats } from './container-usage.js';

const ID = 'abc';

const createTree = (files: Record<string, string>) => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-cgroup-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return { cgroups: join(folder, 'cgroup'), proc: join(folder, 'proc') };
};

const NET_DEV = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     999       9    0    0    0     0          0         0      999       9    0    0    0     0       0          0
  eth0:    1000      10    0    0    0     0          0         0     2000      20    0    0    0     0       0          0
  eth1:1        1    0    0    0     0          0         0 2 20    0    0    0     0       0          0
`;

const USED = {
  at: expect.any(Number),
  cpu_seconds: 1.235,
  memory_peak_bytes: 4_096,
  network_rx_bytes: 1_001,
  network_tx_bytes: 2_002,
  block_read_bytes: 11,
  block_write_bytes: 22,
};

const toV1 = (place: string, scope: string) => ({
  [`cgroup/cpuacct/${place}/${scope}/cpuacct.usage`]: '1234567890\n',
  [`cgroup/memory/${place}/${scope}/memory.max_usage_in_bytes`]: '4096\n',
  [`cgroup/memory/${place}/${scope}/cgroup.procs`]: '42\n43\n',
  [`cgroup/blkio/${place}/${scope}/blkio.throttle.io_service_bytes`]:
    '8:0 Read 10\n8:0 Write 22\n8:0 Total 32\n8:16 Read 1\nTotal 33\n',
  'proc/42/net/dev': NET_DEV,
});

const toV2 = (place: string, memory: Record<string, string>) => ({
  [`cgroup/${place}/cpu.stat`]: 'usage_usec 1234567\nuser_usec 1\nsystem_usec 2\n',
  ...Object.fromEntries(Object.entries(memory).map(([name, text]) => [`cgroup/${place}/${name}`, text])),
  [`cgroup/${place}/cgroup.procs`]: '42\n',
  [`cgroup/${place}/io.stat`]: '8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=2\n',
  'proc/42/net/dev': NET_DEV,
});

describe('what a container has used, by its cgroup', () => {
  it.each([
    ['v1', toV1('docker', ID)],
    ['v1 under systemd', toV1('system.slice', `docker-${ID}.scope`)],
    ['v2', toV2(`docker/${ID}`, { 'memory.peak': '4096\n', 'memory.current': '1\n' })],
    ['v2 under systemd, before Linux 5.19', toV2(`system.slice/docker-${ID}.scope`, { 'memory.current': '4096\n' })],
  ])('is read in version %s', async (_version, files) => {
    const read = createCgroupUsage(createTree(files));
    expect(await read(ID)).toEqual(USED);
    expect(await read('another')).toBeUndefined();
    expect(await read(ID)).toEqual(USED);
  });

  it('is null where one controller is not there, or its processes cannot be seen', async () => {
    const files = toV1('docker', ID);
    const few = Object.fromEntries(Object.entries(files).filter(([path]) => path.includes('cpuacct')));
    expect(await createCgroupUsage(createTree(few))(ID)).toEqual({
      ...USED,
      memory_peak_bytes: null,
      network_rx_bytes: null,
      network_tx_bytes: null,
      block_read_bytes: null,
      block_write_bytes: null,
    });
  });

  it('is nothing where no cgroup is to be seen', async () => {
    expect(await createCgroupUsage(createTree({ 'cgroup/other/file': '' }))(ID)).toBeUndefined();
  });
});

describe('what a container has used, by the engine', () => {
  const io = [
    { major: 8, minor: 0, op: 'Read', value: 11 },
    { major: 8, minor: 0, op: 'write', value: 22 },
    { major: 8, minor: 0, op: 'Total', value: 33 },
  ];
  const stats = {
    cpu_stats: { cpu_usage: { total_usage: 1_234_567_890 } },
    memory_stats: { usage: 1, max_usage: 4_096 },
    networks: { eth0: { rx_bytes: 1_000, tx_bytes: 2_000 }, eth1: { rx_bytes: 1, tx_bytes: 2 } },
    blkio_stats: { io_service_bytes_recursive: io },
  };

  it('is read from its statistics', () => {
    expect(parseStats(stats)).toEqual(USED);
  });

  it('is zero of what it leaves out: no network, nothing written', () => {
    const few = { ...stats, networks: undefined, blkio_stats: { io_service_bytes_recursive: null } };
    const nothing = { network_rx_bytes: 0, network_tx_bytes: 0, block_read_bytes: 0, block_write_bytes: 0 };
    expect(parseStats(few)).toEqual({ ...USED, ...nothing });
  });

  it('is nothing for a container that has ended', () => {
    const ended = { cpu_stats: { cpu_usage: { total_usage: 0 } }, memory_stats: {} };
    expect(parseStats(ended)).toBeUndefined();
    expect(parseStats('')).toBeUndefined();
  });
});
