import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Berth, startBerth, until } from '../harness.js';

/** A person submits a container job over HTTP and reads its true outcome. */
describe('the main job', () => {
  let berth: Berth;
  beforeAll(async () => {
    berth = await startBerth();
  });
  afterAll(() => berth.close());

  it('runs a script in a fresh container and brings its outcome and output back', async () => {
    const submitted = await berth.request('POST', '/v1/jobs', {
      name: 'hello',
      labels: { team: 'a' },
      env: { WHO: 'world' },
      command: 'echo "hello $WHO from $(pwd)"; echo oops >&2; exit 3',
    });
    expect(submitted.status).toBe(201);
    expect(submitted.headers.get('location')).toBe(`/v1/jobs/${submitted.body.job_id}`);
    const job = await berth.wait(String(submitted.body.job_id));
    expect(job).toMatchObject({
      state: 'failed',
      cause: 'exit_code',
      exit_code: 3,
      stdout: 'hello world from /workspace\n',
      stderr: 'oops\n',
      stdout_truncated: false,
    });
    expect(job.attempts).toHaveLength(1);
    expect(job.image_digest).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(job.runtime_ms).toBeGreaterThanOrEqual(0);
  });

  it.each([
    ['no such program', { command: ['no-such-program'] }, 'start_failed', 127],
    ['out of memory', { command: 'head -c 200m /dev/zero | tail', memory_mb: 16 }, 'out_of_memory', 137],
    ['timeout', { command: ['sleep', '60'], timeout_seconds: 4 }, 'timeout', 143],
    [
      'ignores TERM',
      { command: "trap '' TERM; sleep 60 & wait; sleep 60", timeout_seconds: 4, stop_grace_seconds: 1 },
      'timeout',
      137,
    ],
    ['exits 137 by itself', { command: 'exit 137' }, 'exit_code', 137],
  ])('tells the true cause of death: %s', async (_name, spec, cause, exit_code) => {
    const { job_id } = await berth.submit({ cpus: 0.5, ...spec });
    expect(await berth.wait(job_id)).toMatchObject({ state: 'failed', cause, exit_code });
  });

  it('uses up the attempts it was given, with a pause between them', async () => {
    const { job_id } = await berth.submit({ command: 'exit 1', max_attempts: 2 });
    const job = await berth.wait(job_id);
    expect(job).toMatchObject({ state: 'failed', exit_code: 1 });
    expect(job.attempts.map((attempt) => attempt.attempt)).toEqual([1, 2]);
  });

  it('leaves a line of JSON in the log of the worker, with job, attempt and node', async () => {
    const { job_id, node } = await berth.wait((await berth.submit({ command: 'true' })).job_id);
    const readLines = (): Record<string, unknown>[] => {
      const lines = berth.workers[0]?.output().split('\n') ?? [];
      return lines.slice(0, -1).map((line) => JSON.parse(line));
    };
    await until('a line of this job', async () => readLines().some((line) => line.job_id === job_id) || undefined);
    expect(readLines()).toContainEqual(expect.objectContaining({ msg: 'attempt started', job_id, attempt: 1, node }));
  });

  it('runs each container hardened and without a network', async () => {
    const { job_id } = await berth.submit({
      command: 'grep -E "^(CapEff|NoNewPrivs|Seccomp):" /proc/self/status; ls /sys/class/net',
    });
    const { stdout } = await berth.wait(job_id);
    expect(stdout).toContain('CapEff:\t0000000000000000');
    expect(stdout).toContain('NoNewPrivs:\t1');
    expect(stdout).toContain('Seccomp:\t2');
    expect(stdout.split('\n')[3]).toBe('lo');
  });
});
