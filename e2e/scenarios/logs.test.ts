import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { ask, type Berth, startBerth } from '../harness.js';
import { measureGrowth } from '../memory.js';

/** Output comes back whole, live, and harmless whatever it is. */
describe('logs', () => {
  let berth: Berth;
  beforeAll(async () => {
    berth = await startBerth({ env: { BERTH_LOG_LIMIT_BYTES: String(10 * 1024 ** 2) } });
  });
  afterAll(() => berth.close());

  it('follows a running job to its end as plain text', async () => {
    const { job_id } = await berth.submit({ command: 'for i in 1 2 3 4 5; do echo line $i; sleep 0.2; done' });
    const response = await ask(`${berth.url}/v1/jobs/${job_id}/logs?follow=true`);
    const text = await response.text();
    expect(text).toBe('line 1\nline 2\nline 3\nline 4\nline 5\n');
    expect(await berth.wait(job_id)).toMatchObject({ state: 'completed' });
  });

  it('sends events with ids, ended by `end`, and resumes after the last id', async () => {
    const { job_id } = await berth.submit({
      command: `trap 'for i in $(seq 26 50); do echo line $i; done; exit 0' TERM
        for i in $(seq 25); do echo line $i; sleep 0.02; done; while true; do sleep 0.1; done`,
    });
    const first = await readEvents(berth, job_id, undefined, 1);
    const lines = Array.from({ length: 50 }, (_, i) => `line ${i + 1}\n`);
    await berth.waitForOutput(job_id, lines.slice(0, 25).join(''));
    const reading = readEvents(berth, job_id, first.at(-1)?.id, Number.POSITIVE_INFINITY);
    await berth.request('POST', `/v1/jobs/${job_id}/cancel`);
    const rest = await reading;
    const texts = [...first, ...rest]
      .filter((event) => event.event === 'log')
      .map((event) => JSON.parse(event.data).text);
    expect(texts.join('')).toBe(lines.join(''));
    expect(rest.at(-1)?.event).toBe('end');
  });

  it('keeps the head and the end of a 1 GB log, says what was cut, and the worker stays small', {
    timeout: 400_000,
  }, async () => {
    // The first output that reaches the limit grows the heap once, whatever comes after it.
    const warm = await berth.submit({ command: "head -c 20000000 /dev/zero | tr '\\0' x", memory_mb: 64 });
    await berth.wait(warm.job_id);
    let job_id = '';
    const grew = await measureGrowth(berth.workers[0]?.pid, async () => {
      ({ job_id } = await berth.submit({
        command: "echo first; head -c 1000000000 /dev/zero | tr '\\0' x; echo; echo last",
        memory_mb: 64,
        timeout_seconds: 600,
      }));
      await berth.wait(job_id, 300_000);
    });
    const job = await berth.wait(job_id);
    expect(job).toMatchObject({ state: 'completed', stdout_truncated: true });
    expect(job.stdout.endsWith('x\nlast\n')).toBe(true);
    expect(job.stdout).toMatch(/\[berth\] \d+ bytes of output were cut here/);
    const all = await (await ask(`${berth.url}/v1/jobs/${job_id}/logs?stream=stdout`)).text();
    expect(all.startsWith('first\nxxx')).toBe(true);
    expect(all.length).toBeLessThan(10.2 * 1024 * 1024);
    expect(grew).toBeLessThan(50 * 1024 ** 2);
  });

  it('takes bytes that are no text', async () => {
    const { job_id } = await berth.submit({ command: "printf '\\377\\376ok\\n'" });
    const job = await berth.wait(job_id);
    expect(job).toMatchObject({ state: 'completed', stdout: '\ufffd\ufffdok\n' });
    const raw = await (await ask(`${berth.url}/v1/jobs/${job_id}/logs`)).arrayBuffer();
    expect([...new Uint8Array(raw)]).toEqual([0xff, 0xfe, 0x6f, 0x6b, 0x0a]);
  });
});

/**
 * Longer than what the broker ever holds of a log: most of it goes into the file store while the job runs. Shorter than what a worker holds of it
 * while neither takes anything: so none of it is lost.
 */
describe('a long log', () => {
  it('is kept whole, and read from any place', { timeout: 400_000 }, async () => {
    // Before there is anything to follow: meanwhile nothing else is done here.
    const whole = createHash('sha256');
    for (let i = 1; i <= 3_000_000; i += 10_000) {
      whole.update(Array.from({ length: 10_000 }, (_, at) => `${i + at}\n`).join(''));
    }
    const expected = whole.digest('hex');
    const berth = await startBerth();
    onTestFinished(berth.close);
    const { job_id } = await berth.submit({ command: 'seq 3000000; echo done >&2', timeout_seconds: 600 });
    const read = async (query: string) => (await ask(`${berth.url}/v1/jobs/${job_id}/logs?${query}`)).text();
    const followed = toHash(await ask(`${berth.url}/v1/jobs/${job_id}/logs?follow=true&stream=stdout`));
    expect(await berth.wait(job_id, 300_000)).toMatchObject({ state: 'completed', stderr: 'done\n' });
    expect(await followed).toBe(expected);
    expect(await toHash(await ask(`${berth.url}/v1/jobs/${job_id}/logs?stream=stdout`))).toBe(expected);
    expect(await read('stream=stdout&from_line=2999999')).toBe('2999999\n3000000\n');
    expect(await read('stream=stdout&tail=2')).toBe('2999999\n3000000\n');
    expect(await read(`stream=stdout&offset=${22_888_896 - 8}`)).toBe('3000000\n');
  });
});

const toHash = async (response: Response): Promise<string> => {
  const hash = createHash('sha256');
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) hash.update(chunk);
  return hash.digest('hex');
};

interface SseEvent {
  id?: string;
  event?: string;
  data: string;
}

const toEvent = (block: string): SseEvent => {
  const fields = block.split('\n').filter((line) => line !== '' && !line.startsWith(':'));
  return Object.fromEntries(fields.map((line) => line.split(/: (.*)/s).slice(0, 2))) as unknown as SseEvent;
};

const readEvents = async (
  berth: Berth,
  job_id: string,
  after: string | undefined,
  count: number,
): Promise<SseEvent[]> => {
  const abort = new AbortController();
  const response = await ask(`${berth.url}/v1/jobs/${job_id}/logs?follow=true`, {
    headers: { accept: 'text/event-stream', ...(after === undefined ? {} : { 'last-event-id': after }) },
    signal: abort.signal,
  });
  const events: SseEvent[] = [];
  let text = '';
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    text += Buffer.from(chunk).toString('utf8');
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    events.push(...blocks.map(toEvent).filter((event) => event.data !== undefined));
    if (events.length >= count) break;
  }
  abort.abort();
  return events.slice(0, count);
};
