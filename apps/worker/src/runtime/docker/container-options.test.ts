import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ContainerOptions } from '../container-runtime.js';
import { type EngineChoices, toCreateBody } from './container-options.js';

const engine: EngineChoices = {
  oci_runtime: 'crun',
  egress_network: 'egress-id',
  hosts_file: '/volumes/hosts',
  open_files: 65_536,
};

/** Names an attacker would try, beside anything at all: they must end up as data or nowhere. */
const name = fc.oneof(
  fc.string(),
  fc.constantFrom(
    'Privileged',
    'HostConfig',
    'Binds',
    '__proto__',
    'constructor',
    'CapAdd',
    'NetworkMode',
    'BERTH_EPOCH',
  ),
);

const options: fc.Arbitrary<ContainerOptions> = fc.record({
  name: fc.string(),
  image: fc.string(),
  argv: fc.array(fc.string(), { minLength: 1 }),
  env: fc.dictionary(name, fc.string()),
  workdir: fc.string(),
  centicpus: fc.integer({ min: 1, max: 102_400 }),
  memory_mb: fc.integer({ min: 6, max: 16_777_216 }),
  network: fc.constantFrom('none', 'egress'),
  profile: fc.constantFrom('standard', 'strict'),
  has_files: fc.boolean(),
  gpus: fc.record({ uuids: fc.array(fc.string({ minLength: 1 })), fake: fc.boolean() }),
  labels: fc.record({
    job_id: fc.string(),
    epoch: fc.nat(),
    attempt: fc.nat(),
    deadline: fc.nat(),
    installation: fc.string(),
  }),
});

/** The whole of it, written out: a key more, a key less or a looser value fails. */
const toGolden = (o: ContainerOptions) => ({
  Privileged: false,
  CapAdd: [],
  CapDrop: ['ALL'],
  SecurityOpt: ['no-new-privileges'],
  PidsLimit: 256,
  OomScoreAdj: 500,
  OomKillDisable: false,
  Init: true,
  IpcMode: 'private',
  AutoRemove: false,
  RestartPolicy: { Name: 'no', MaximumRetryCount: 0 },
  LogConfig: { Type: 'local', Config: { 'max-size': '32000000', 'max-file': '2', compress: 'false' } },
  Runtime: 'crun',
  NetworkMode: o.network === 'none' ? 'none' : 'egress-id',
  NanoCpus: o.centicpus * 10_000_000,
  Memory: o.memory_mb * 1_048_576,
  MemorySwap: o.memory_mb * 1_048_576,
  Ulimits: [
    { Name: 'nofile', Soft: 65_536, Hard: 65_536 },
    { Name: 'core', Soft: 0, Hard: 0 },
  ],
  ReadonlyRootfs: o.profile === 'strict',
  Tmpfs:
    o.profile === 'strict'
      ? {
          '/tmp': `rw,noexec,nosuid,nodev,mode=1777,size=${Math.max(1, Math.floor(o.memory_mb / 4))}m`,
          ...(o.has_files
            ? {}
            : {
                '/workspace': `rw,exec,nosuid,nodev,uid=65534,gid=65534,mode=0755,size=${Math.max(1, Math.floor(o.memory_mb / 2))}m`,
              }),
        }
      : {},
  Mounts: [
    ...(o.network === 'none' ? [{ Type: 'bind', Source: '/volumes/hosts', Target: '/etc/hosts', ReadOnly: true }] : []),
    ...(o.has_files && o.profile === 'strict'
      ? [
          {
            Type: 'volume',
            Target: '/workspace',
            VolumeOptions: {
              NoCopy: true,
              Labels: { 'berth.installation': o.labels.installation, 'berth.job': o.labels.job_id },
            },
          },
        ]
      : []),
  ],
  DeviceRequests:
    o.gpus === undefined || o.gpus.fake || o.gpus.uuids.length === 0
      ? []
      : [{ Driver: 'nvidia', DeviceIDs: o.gpus.uuids, Capabilities: [['gpu']] }],
});

const TOP_KEYS = [
  'Cmd',
  'Entrypoint',
  'Env',
  'Healthcheck',
  'HostConfig',
  'Image',
  'Labels',
  'NetworkDisabled',
  'OpenStdin',
  'StopSignal',
  'Tty',
  'WorkingDir',
];

const example: ContainerOptions = {
  name: 'berth-j-e2',
  image: 'busybox:stable',
  argv: ['echo', 'hi'],
  env: { GREETING: 'hello', BERTH_EPOCH: '99' },
  workdir: '/workspace',
  centicpus: 150,
  memory_mb: 256,
  network: 'none',
  profile: 'standard',
  labels: { job_id: 'j', epoch: 2, attempt: 1, deadline: 1_700_000_000, installation: 'berth' },
};

describe('the create body', () => {
  test('has the golden HostConfig whatever the options are', () => {
    fc.assert(
      fc.property(options, (o) => {
        const body = toCreateBody(o, engine);
        expect(body.HostConfig).toStrictEqual(toGolden(o));
        const keys = o.profile === 'strict' ? [...TOP_KEYS, 'User'].sort() : TOP_KEYS;
        expect(Object.keys(body).sort()).toEqual(keys);
        expect(body.NetworkDisabled).toBe(o.network === 'none');
      }),
      { numRuns: 200 },
    );
  });

  test('ignores what is no option of ours, even where it got past the types', () => {
    const smuggled = {
      ...example,
      Privileged: true,
      HostConfig: { Binds: ['/:/host'] },
      User: '0',
      Volumes: { '/x': {} },
    };
    expect(toCreateBody(smuggled, engine)).toStrictEqual(toCreateBody(example, engine));
  });

  test('refuses numbers that the engine would read as no limit', () => {
    for (const memory_mb of [0, -1, Number.NaN, 1.5, Number.POSITIVE_INFINITY]) {
      expect(() => toCreateBody({ ...example, memory_mb }, engine)).toThrow('memory_mb');
    }
    expect(() => toCreateBody({ ...example, centicpus: 0 }, engine)).toThrow('centicpus');
  });

  test('tells the job who it is, last and for good', () => {
    expect(toCreateBody(example, engine).Env).toEqual([
      'GREETING=hello',
      'BERTH_JOB_ID=j',
      'BERTH_ATTEMPT=1',
      'BERTH_EPOCH=2',
      'CUDA_VISIBLE_DEVICES=',
      'NVIDIA_VISIBLE_DEVICES=void',
    ]);
  });

  test('attaches the GPUs that it was given and no others, and tells the job which, whatever its own environment says', () => {
    const env = { NVIDIA_VISIBLE_DEVICES: 'all', CUDA_VISIBLE_DEVICES: '0,1,2,3' };
    const given = { ...example, env, gpus: { uuids: ['GPU-1', 'GPU-2'], fake: false } };
    const real = toCreateBody(given, engine);
    expect(real.HostConfig.DeviceRequests).toEqual([
      { Driver: 'nvidia', DeviceIDs: ['GPU-1', 'GPU-2'], Capabilities: [['gpu']] },
    ]);
    const told = ['CUDA_VISIBLE_DEVICES=GPU-1,GPU-2', 'NVIDIA_VISIBLE_DEVICES=GPU-1,GPU-2'];
    expect(real.Env.filter((entry) => entry.includes('VISIBLE'))).toEqual(told);
    const fake = toCreateBody({ ...given, gpus: { uuids: ['GPU-1', 'GPU-2'], fake: true } }, engine);
    expect([fake.HostConfig.DeviceRequests, fake.Env]).toEqual([[], real.Env]);
    const without = toCreateBody({ ...example, env }, engine);
    expect(without.HostConfig.DeviceRequests).toEqual([]);
    expect(without.Env.slice(-2)).toEqual(['CUDA_VISIBLE_DEVICES=', 'NVIDIA_VISIBLE_DEVICES=void']);
    expect(without.Env.filter((entry) => entry.includes('VISIBLE'))).toHaveLength(2);
  });

  test('runs the command in place of the image entry point, as nobody in the strict profile', () => {
    expect(toCreateBody(example, engine)).toMatchObject({ Entrypoint: ['echo', 'hi'], Cmd: [] });
    expect(toCreateBody(example, engine)).not.toHaveProperty('User');
    expect(toCreateBody({ ...example, profile: 'strict' }, engine)).toMatchObject({ User: '65534:65534' });
  });

  test("keeps the image's entry point in front of the command where it is told to, and its command where there is none", () => {
    const body = toCreateBody({ ...example, keeps_entrypoint: true }, engine);
    expect(body).toMatchObject({ Cmd: ['echo', 'hi'], HostConfig: toGolden(example) });
    expect(body).not.toHaveProperty('Entrypoint');
    expect(toCreateBody({ ...example, argv: [], keeps_entrypoint: true }, engine)).toMatchObject({ Cmd: [] });
  });

  test('leaves the hosts file to the engine where we have none, and still gives no network', () => {
    const body = toCreateBody(example, { ...engine, hosts_file: undefined });
    expect(body).toMatchObject({ NetworkDisabled: false, HostConfig: { NetworkMode: 'none', Mounts: [] } });
  });

  test('never falls back to another network where egress is not there', () => {
    expect(() => toCreateBody({ ...example, network: 'egress' }, { ...engine, egress_network: undefined })).toThrow();
  });
});
