import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectProblem, openTestApi, type TestApi } from './open-test-api.js';

let api: TestApi;
let job_id: string;
beforeAll(async () => {
  api = await openTestApi('bad-values');
  job_id = await api.submit();
});
afterAll(() => api.close());

/** Numbers are rows of the bad-input matrix. */
describe('a value in a body', () => {
  const hugeArgument = 'x'.repeat(128 * 1024);
  const rows: [number, object, number, string][] = [
    [49, { image: '' }, 400, '$.image'],
    [50, { image: '--privileged' }, 400, '$.image'],
    [50, { image: 'BUSYBOX' }, 400, '$.image'],
    [50, { image: 'busy box' }, 400, '$.image'],
    [52, { image: `busybox@sha256:${'a'.repeat(63)}` }, 400, '$.image'],
    [53, { image: '169.254.169.254/x' }, 422, '$.image'],
    [53, { image: 'localhost:5000/x' }, 422, '$.image'],
    [56, { command: [] }, 400, '$.command'],
    [56, { command: [''] }, 400, '$.command'],
    [56, { command: '' }, 400, '$.command'],
    [56, { command: undefined }, 400, '$.command'],
    [57, { command: Array.from({ length: 10_000 }, () => 'x') }, 400, '$.command'],
    [58, { env: ['NOEQ'] }, 400, '$.env'],
    [59, { env: { '': 'v' } }, 400, '$.env[""]'],
    [59, { env: { 'A B': 'v' } }, 400, '$.env["A B"]'],
    [60, { env: { A: hugeArgument } }, 400, '$.env.A'],
    [61, { labels: { a: 'b\nc' } }, 400, '$.labels.a'],
    [62, { workdir: 'relative' }, 400, '$.workdir'],
    [62, { workdir: '/proc/self/fd/8' }, 400, '$.workdir'],
    [62, { workdir: '/sys' }, 400, '$.workdir'],
    [63, { user: 'root' }, 400, '$.user'],
    [64, { privileged: true }, 400, '$.privileged'],
    [64, { binds: ['/var/run/docker.sock:/s'] }, 400, '$.binds'],
    [64, { HostConfig: {} }, 400, '$.HostConfig'],
    [64, { network: 'host' }, 400, '$.network'],
    [65, { memory_mb: 0 }, 400, '$.memory_mb'],
    [65, { memory_mb: -5 }, 400, '$.memory_mb'],
    [65, { memory_mb: 4 }, 400, '$.memory_mb'],
    [65, { memory_mb: 8.5 }, 400, '$.memory_mb'],
    [65, { memory_mb: '1g' }, 400, '$.memory_mb'],
    [65, { memory_mb: 1e18 }, 400, '$.memory_mb'],
    [66, { cpus: 0 }, 400, '$.cpus'],
    [66, { cpus: -1 }, 400, '$.cpus'],
    [66, { cpus: 1e12 }, 400, '$.cpus'],
    [66, { cpus: 0.0001 }, 400, '$.cpus'],
    [66, { cpus: null }, 400, '$.cpus'],
    [67, { pids: -1 }, 400, '$.pids'],
    [68, { timeout_seconds: 0 }, 400, '$.timeout_seconds'],
    [68, { timeout_seconds: -1 }, 400, '$.timeout_seconds'],
    [68, { timeout_seconds: '10' }, 400, '$.timeout_seconds'],
    [68, { timeout_seconds: 2 ** 31 / 1000 }, 400, '$.timeout_seconds'],
    [69, { max_attempts: 0 }, 400, '$.max_attempts'],
    [69, { max_attempts: 1.5 }, 400, '$.max_attempts'],
    [69, { max_attempts: 1e6 }, 400, '$.max_attempts'],
    [69, { retry: { max_attempts: 1e6 } }, 400, '$.retry.max_attempts'],
    [69, { retry: { on: ['node_lost'] } }, 400, '$.retry.on[0]'],
    [69, { retry: { backoff_seconds: -1 } }, 400, '$.retry.backoff_seconds'],
    [69, { retry: { privileged: true } }, 400, '$.retry.privileged'],
    [68, { queue_timeout_seconds: 0 }, 400, '$.queue_timeout_seconds'],
    [68, { queue_timeout_seconds: 2_592_001 }, 400, '$.queue_timeout_seconds'],
    [70, { priority: -1 }, 400, '$.priority'],
    [70, { priority: 1.5 }, 400, '$.priority'],
    [70, { priority: 3e6 }, 400, '$.priority'],
    [71, { delay: -1 }, 400, '$.delay'],
    [72, { class: 'nope' }, 400, '$.class'],
    [72, { cpus: 64 }, 422, '$'],
    [72, { memory_mb: 1_000_000 }, 422, '$'],
  ];
  const named = rows.map(([row, fields, ...rest]) => ({
    row,
    shown: JSON.stringify(fields).slice(0, 60),
    fields,
    rest,
  }));
  it.each(named)('row $row: $shown', async ({ fields, rest: [status, where] }) => {
    const reply = await api.send('POST', '/v1/jobs', { body: { command: 'true', ...fields } });
    expect(reply.status).toBe(status);
    expectProblem(reply);
    const paths: string[] = reply.body.errors.map((problem: { path: string }) => problem.path);
    expect([...new Set(paths)]).toEqual([where]);
  });

  it('row 57: a command of 3 MB is 413', async () => {
    const reply = await api.send('POST', '/v1/jobs', { body: { command: 'x'.repeat(3_000_000) } });
    expect(reply.status).toBe(413);
  });

  it('row 61: a newline in a variable is allowed', async () => {
    const reply = await api.send('POST', '/v1/jobs', { body: { command: 'true', env: { A: 'b\nc' } } });
    expect(reply.body.spec.env).toEqual({ A: 'b\nc' });
  });

  it('row 72: where no class fits, the answer names every class and what it holds', async () => {
    const reply = await api.send('POST', '/v1/jobs', { body: { command: 'true', cpus: 64 } });
    expect(reply.body.code).toBe('no_class_fits');
    for (const { name, max_memory_mb } of api.context.classes) {
      expect(reply.body.detail).toContain(name);
      expect(reply.body.detail).toContain(String(max_memory_mb));
    }
  });

  it('names every problem at once and echoes no value', async () => {
    const body = { command: 'true', env: { KEY: 'hunter2\0' }, cpus: 'hunter2', nope: 'hunter2', priority: -1 };
    const reply = await api.send('POST', '/v1/jobs', { body: JSON.stringify(body).replace('\\u0000', '') });
    expect(reply.body.errors.map((problem: { path: string }) => problem.path).sort()).toEqual([
      '$.cpus',
      '$.nope',
      '$.priority',
    ]);
    expect(reply.text).not.toContain('hunter2');
  });
});

describe('an Idempotency-Key', () => {
  it.each([
    ['empty', ''],
    ['of 129 characters', 'x'.repeat(129)],
    ['not of ASCII', 'caf\u00e9'],
    ['with a tab', 'a\tb'],
  ])('row 73: %s is 400', async (_name, key) => {
    const reply = await api.send('POST', '/v1/jobs', {
      body: { command: 'true' },
      headers: { 'idempotency-key': key },
    });
    expect(reply.status).toBe(400);
    expectProblem(reply);
  });

  it.each(['meta', 'wait', '123', 'a:b', 'a:b:c', '__proto__', '~!@ #'])('row 74: %s works', async (key) => {
    const send = () => api.send('POST', '/v1/jobs', { body: { command: 'true' }, headers: { 'idempotency-key': key } });
    const first = await send();
    expect(first.status).toBe(201);
    const again = await send();
    expect(again.status).toBe(200);
    expect(again.body.job_id).toBe(first.body.job_id);
  });
});

describe('a Last-Event-ID', () => {
  it.each(['-1', '99999999999999999999', '../../etc', 'x', '1-0;x'])('row 87: %s is 400', async (id) => {
    for (const path of ['logs', 'events']) {
      const headers = { accept: 'text/event-stream', 'last-event-id': id };
      const reply = await api.send('GET', `/v1/jobs/${job_id}/${path}`, { headers });
      expect(reply.status).toBe(400);
      expectProblem(reply);
    }
  });
});
