import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type JobSpecInput, jobSpecFields, jobSpecSchema, toArgv, toAsk, toRegistry } from './job-spec.js';

const KIB = 1024;
const withCommand = (fields: object) => ({ command: ['true'], ...fields });
/** Where the schema finds fault, as JSON paths; empty for a good spec. */
const faults = (input: unknown): string[] => {
  const parsed = jobSpecSchema.safeParse(input);
  return parsed.success ? [] : parsed.error.issues.map((issue) => ['$', ...issue.path.map(String)].join('.'));
};
/** What JSON from the wire can hold and an object literal cannot. */
const json = (text: string): unknown => JSON.parse(text);

describe('a spec', () => {
  it('gets every default', () => {
    expect(jobSpecSchema.parse({ command: 'uname -a' })).toEqual({
      command: 'uname -a',
      labels: {},
      env: {},
      workdir: '/workspace',
      cpus: 1,
      memory_mb: 256,
      timeout_seconds: 3600,
      stop_grace_seconds: 10,
      network: 'none',
      priority: 50,
      max_attempts: 1,
      retry: {
        max_attempts: 1,
        on: ['exit_code', 'out_of_memory', 'timeout', 'image_pull_failed', 'killed_externally', 'removed_externally'],
        backoff_seconds: 1,
        max_backoff_seconds: 60,
      },
    });
  });

  it('is read as an argument list or as a script, and asks for what it says', () => {
    expect(toArgv('a | b')).toEqual(['/bin/sh', '-c', 'a | b']);
    expect(toArgv(['echo', '$HOME'])).toEqual(['echo', '$HOME']);
    expect(toAsk({ cpus: 0.29, memory_mb: 100 })).toEqual({ centicpus: 29, memory_mb: 100, gpus: 0 });
  });

  it('names every fault at once', () => {
    const paths = faults({ command: [], cpus: 0, memory_mb: 1, priority: 101, labels: { 'a b': 'x' } });
    expect(paths.sort()).toEqual(['$.command', '$.cpus', '$.labels.a b', '$.memory_mb', '$.priority']);
  });

  it('says in words what is wrong with a name', () => {
    const { error } = jobSpecSchema.safeParse(withCommand({ env: { BERTH_NODE: 'x' } }));
    expect(error?.issues[0]?.message).toContain('must not begin with BERTH_');
  });
});

describe('what is taken', () => {
  it.each<[string, object]>([
    ['image', { image: 'busybox' }],
    ['image with tag', { image: 'busybox:stable' }],
    ['image with registry, port and digest', { image: `registry.example.com:5000/a/b_c:v1@sha256:${'a'.repeat(64)}` }],
    ['an argument that is empty, after the program', { command: ['printf', ''] }],
    ['a script of 127 KiB', { command: `#${'x'.repeat(127 * KIB)}` }],
    ['1,000 arguments', { command: Array.from({ length: 1_000 }, () => 'x') }],
    ['a newline in an env value', { env: { TEXT: 'a\nb' } }],
    ['an empty env value', { env: { EMPTY: '' } }],
    ['an env entry just short of 128 KiB', { env: { A: 'x'.repeat(128 * KIB - 1 - 2) } }],
    ['characters beyond the first plane', { env: { TEXT: '🚢' }, name: 'ship 🚢' }],
    ['labels', { labels: { team: 'a b', 'example.com/x': 'y=z', constructor: 'ours' } }],
    ['the least', { cpus: 0.01, memory_mb: 6, timeout_seconds: 1, priority: 0, stop_grace_seconds: 0 }],
    ['the most', { cpus: 1024, memory_mb: 16_777_216, timeout_seconds: 604_800, priority: 100, max_attempts: 100 }],
    ['steps of 0.01 that no double hits', { cpus: 0.29 }],
    ['a directory 100 folders deep', { workdir: '/a'.repeat(100) }],
    ['a directory with a name of 255 bytes', { workdir: `/${'a'.repeat(255)}/b` }],
    ['a directory that only looks like /proc', { workdir: '/process/dev' }],
    ['egress', { network: 'egress' }],
    ['the least patience', { queue_timeout_seconds: 1 }],
    ['the most patience', { queue_timeout_seconds: 2_592_000 }],
  ])('%s', (_what, fields) => {
    expect(faults(withCommand(fields))).toEqual([]);
  });
});

describe('what is refused, and where', () => {
  it.each<[string, object, string]>([
    ['49 empty', { image: '' }, '$.image'],
    ['50 an option', { image: '--privileged' }, '$.image'],
    ['50 upper case', { image: 'BUSYBOX' }, '$.image'],
    ['50 a space', { image: 'busy box' }, '$.image'],
    ['50 a newline at the end', { image: 'busybox\n' }, '$.image'],
    ['50 a URL', { image: 'http://registry.example.com/x' }, '$.image'],
    ['50 a path', { image: '../x' }, '$.image'],
    ['50 too long', { image: 'a'.repeat(256) }, '$.image'],
    ['52 a digest of 63 digits', { image: `busybox@sha256:${'a'.repeat(63)}` }, '$.image'],
    ['56 no program', { command: [] }, '$.command'],
    ['56 an empty program', { command: [''] }, '$.command'],
    ['56 an empty script', { command: '' }, '$.command'],
    ['56 a blank script', { command: ' \n\t' }, '$.command'],
    ['56 null', { command: null }, '$.command'],
    ['56 numbers', { command: ['sleep', 1] }, '$.command'],
    ['57 a script of 128 KiB', { command: 'x'.repeat(128 * KIB) }, '$.command'],
    ['57 an argument of 128 KiB', { command: ['echo', 'x'.repeat(128 * KIB)] }, '$.command.1'],
    ['57 an argument of 128 KiB in UTF-8', { command: ['echo', '€'.repeat(44 * KIB)] }, '$.command.1'],
    ['57 193 KiB in all', { command: ['x', ...Array.from({ length: 193 }, () => 'x'.repeat(KIB))] }, '$.command'],
    ['57 1,001 arguments', { command: Array.from({ length: 1_001 }, () => 'x') }, '$.command'],
    ['45 NUL in an argument', { command: ['echo', 'a\0b'] }, '$.command.1'],
    ['45 NUL in a script', { command: 'a\0b' }, '$.command'],
    ['44 half a character', { command: ['echo', '\ud800'] }, '$.command.1'],
    ['44 half a character in env', { env: { A: 'x\udc00' } }, '$.env.A'],
    ['58 env as a list', { env: ['NOEQ'] }, '$.env'],
    ['59 env without a name', { env: { '': 'v' } }, '$.env.'],
    ['59 env with a space', { env: { 'A B': 'v' } }, '$.env.A B'],
    ['59 env with =', { env: { 'A=B': 'v' } }, '$.env.A=B'],
    ['59 env with a newline', { env: { 'A\n': 'v' } }, '$.env.A\n'],
    ['59 env with our own prefix', { env: { BERTH_JOB_ID: 'v' } }, '$.env.BERTH_JOB_ID'],
    ['59 env number', { env: { A: 5 } }, '$.env.A'],
    ['60 an env value of 128 KiB', { env: { A: 'x'.repeat(128 * KIB) } }, '$.env.A'],
    ['60 an env entry of 128 KiB', { env: { A: 'x'.repeat(128 * KIB - 2) } }, '$.env.A'],
    ['61 a newline in a label', { labels: { a: 'b\nc' } }, '$.labels.a'],
    ['61 a newline in a name', { name: 'a\nb' }, '$.name'],
    ['61 an escape in a name', { name: '\u001b[2J' }, '$.name'],
    ['61 a label name with =', { labels: { 'a=b': 'c' } }, '$.labels.a=b'],
    ['62 relative', { workdir: 'workspace' }, '$.workdir'],
    ['62 /proc/self/fd/8', { workdir: '/proc/self/fd/8' }, '$.workdir'],
    ['62 /proc', { workdir: '/proc' }, '$.workdir'],
    ['62 //proc', { workdir: '//proc' }, '$.workdir'],
    ['62 /./proc', { workdir: '/././proc' }, '$.workdir'],
    ['62 /sys', { workdir: '/sys/' }, '$.workdir'],
    ['62 101 folders deep', { workdir: '/a'.repeat(101) }, '$.workdir'],
    ['62 a name of 256 bytes', { workdir: `/w/${'\u00e9'.repeat(128)}` }, '$.workdir'],
    ['62 a way round', { workdir: '/workspace/../proc' }, '$.workdir'],
    ['65 no memory', { memory_mb: 0 }, '$.memory_mb'],
    ['65 less than none', { memory_mb: -5 }, '$.memory_mb'],
    ['65 4 MB', { memory_mb: 4 }, '$.memory_mb'],
    ['65 1.5', { memory_mb: 10.5 }, '$.memory_mb'],
    ['65 a text', { memory_mb: '1g' }, '$.memory_mb'],
    ['65 1e18', { memory_mb: 1e18 }, '$.memory_mb'],
    ['43 beyond exact numbers', { memory_mb: json('9007199254740993') }, '$.memory_mb'],
    ['66 no CPU', { cpus: 0 }, '$.cpus'],
    ['66 less than none', { cpus: -1 }, '$.cpus'],
    ['66 1e12', { cpus: 1e12 }, '$.cpus'],
    ['66 0.0001', { cpus: 0.0001 }, '$.cpus'],
    ['66 0.015', { cpus: 0.015 }, '$.cpus'],
    ['66 NaN', { cpus: Number.NaN }, '$.cpus'],
    ['42 1e400', { cpus: json('1e400') }, '$.cpus'],
    ['68 no time', { timeout_seconds: 0 }, '$.timeout_seconds'],
    ['68 less than none', { timeout_seconds: -1 }, '$.timeout_seconds'],
    ['68 a text', { timeout_seconds: '10' }, '$.timeout_seconds'],
    ['68 2^31 ms and more', { timeout_seconds: 2_147_484 }, '$.timeout_seconds'],
    ['69 attempts −1', { max_attempts: -1 }, '$.max_attempts'],
    ['69 no attempt', { max_attempts: 0 }, '$.max_attempts'],
    ['69 1.5', { max_attempts: 1.5 }, '$.max_attempts'],
    ['69 1e6', { max_attempts: 1e6 }, '$.max_attempts'],
    ['no patience', { queue_timeout_seconds: 0 }, '$.queue_timeout_seconds'],
    ['patience of more than 30 days', { queue_timeout_seconds: 2_592_001 }, '$.queue_timeout_seconds'],
    ['patience of half a second', { queue_timeout_seconds: 1.5 }, '$.queue_timeout_seconds'],
    ['70 priority −1', { priority: -1 }, '$.priority'],
    ['70 1.5', { priority: 1.5 }, '$.priority'],
    ['70 3e6', { priority: 3e6 }, '$.priority'],
    ['a grace of 301 s', { stop_grace_seconds: 301 }, '$.stop_grace_seconds'],
    ['the network of the host', { network: 'host' }, '$.network'],
  ])('%s', (_what, fields, path) => {
    expect(faults(withCommand(fields))).toContain(path);
  });

  it('57 takes neither 1,001 variables nor 33 labels', () => {
    const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`N${i}`, 'x']));
    expect(faults(withCommand({ env: many(1_001), labels: many(33) }))).toEqual(['$.labels', '$.env']);
    expect(faults(withCommand({ env: many(1_000), labels: many(32) }))).toEqual([]);
  });

  it.each([null, [], 'sleep 1', 5, true, undefined])('34 a body of %j', (body) => {
    expect(faults(body)).toEqual(['$']);
  });

  it.each([
    ...['privileged', 'binds', 'Binds', 'devices', 'cap_add', 'CapAdd', 'security_opt', 'pid', 'ipc', 'runtime'],
    ...['cgroup_parent', 'sysctls', 'volumes_from', 'HostConfig', 'user', 'pids', 'delay', 'class', 'comand'],
  ])('48, 63, 64, 67, 71: the unknown field %s', (field) => {
    const { error } = jobSpecSchema.safeParse(withCommand({ [field]: 1 }));
    expect(error?.issues).toMatchObject([{ code: 'unrecognized_keys', keys: [field] }]);
  });

  it.each([
    '{"command":"x","__proto__":{"privileged":true}}',
    '{"command":"x","constructor":{"prototype":{"x":1}}}',
    '{"command":"x","env":{"__proto__":"y"}}',
    '{"command":"x","labels":{"__proto__":"y"}}',
  ])('47 %s, and no prototype is touched', (text) => {
    expect(faults(json(text))).not.toEqual([]);
    expect(({} as Record<string, unknown>).x).toBeUndefined();
    expect(({} as Record<string, unknown>).privileged).toBeUndefined();
  });
});

describe('any input', () => {
  const anyValue = fc.oneof(fc.jsonValue(), fc.anything(), fc.string({ unit: 'binary' }), fc.double());
  const fields = Object.keys(jobSpecFields.shape);
  const almostSpec = fc.dictionary(fc.constantFrom(...fields, 'privileged', '__proto__', ''), anyValue);

  it('either becomes a spec or gives faults with paths and words; it never throws', () => {
    fc.assert(
      fc.property(fc.oneof(almostSpec, anyValue), (input) => {
        const parsed = jobSpecSchema.safeParse(input);
        if (parsed.success) return;
        expect(parsed.error.issues.length).toBeGreaterThan(0);
        for (const { path, message } of parsed.error.issues) {
          expect(path.every((part) => typeof part === 'string' || typeof part === 'number')).toBe(true);
          expect(message).not.toBe('');
        }
      }),
      { numRuns: 1_000 },
    );
  });

  const word = fc.stringMatching(/^[A-Z][A-Z0-9_]{0,10}$/).filter((name) => !name.startsWith('BERTH_'));
  const goodText = fc.string({ unit: 'grapheme', maxLength: 50 }).filter((s) => !s.includes('\0') && s.trim() !== '');
  const goodSpec: fc.Arbitrary<JobSpecInput> = fc.record(
    {
      command: fc.oneof(goodText, fc.array(goodText, { minLength: 1, maxLength: 5 })),
      image: fc.stringMatching(/^[a-z]{1,5}(\/[a-z]{1,5})?(:[a-z0-9]{1,5})?$/),
      env: fc.dictionary(word, goodText),
      labels: fc.dictionary(fc.stringMatching(/^[a-z][a-z0-9]{0,10}$/), fc.stringMatching(/^[a-z =]{1,20}$/), {
        maxKeys: 32,
      }),
      cpus: fc.integer({ min: 1, max: 102_400 }).map((hundredths) => hundredths / 100),
      memory_mb: fc.integer({ min: 6, max: 16_777_216 }),
      timeout_seconds: fc.integer({ min: 1, max: 604_800 }),
      priority: fc.integer({ min: 0, max: 100 }),
      queue_timeout_seconds: fc.integer({ min: 1, max: 2_592_000 }),
      retry: fc.record(
        {
          max_attempts: fc.integer({ min: 1, max: 100 }),
          on: fc.uniqueArray(fc.constantFrom('exit_code', 'timeout', 'start_failed'), { minLength: 1 }),
          backoff_seconds: fc.integer({ min: 0, max: 60 }),
          max_backoff_seconds: fc.integer({ min: 60, max: 86_400 }),
        },
        { requiredKeys: [] },
      ),
    },
    { requiredKeys: ['command'] },
  );

  it('that is within the rules is taken as it stands, and taken again when it comes back from storage', () => {
    fc.assert(
      fc.property(goodSpec, (input) => {
        const spec = jobSpecSchema.parse(input);
        expect(spec).toMatchObject(input);
        expect(jobSpecSchema.parse(JSON.parse(JSON.stringify(spec)))).toEqual(spec);
      }),
      { numRuns: 500 },
    );
  });
});

describe('toRegistry', () => {
  it.each([
    ['busybox', null],
    ['busybox:stable', null],
    ['team/tool', null],
    ['localhost/tool', 'localhost'],
    ['localhost:5000/x', 'localhost:5000'],
    ['169.254.169.254/x', '169.254.169.254'],
    ['registry.example.com/team/tool:v1', 'registry.example.com'],
  ])('%s → %s', (image, registry) => {
    expect(toRegistry(image)).toBe(registry);
  });
});
