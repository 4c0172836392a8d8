import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Berth, startBerth } from '../harness.js';

/** Output comes back whole, live, and harmless whatever it is. */
describe('logs', () => {
  let berth: Berth;
  beforeAll(async () => {
    berth = await startBerth();
  });
  afterAll(() => berth.close());

  it('follows a running job to its end as plain text', async () => {
    const { job_id } = await berth.submit({ command: 'for i in 1 2 3 4 5; do echo line $i; sleep 0.2; done' });
    const response = await fetch(`${berth.url}/v1/jobs/${job_id}/logs?follow=true`);
    const text = await response.text();
    expect(text).toBe('line 1\nline 2\nline 3\nline 4\nline 5\n');
    expect(await berth.wait(job_id)).toMatchObject({ state: 'completed' });
  });

  it('sends events with ids, ended by `end`, and resumes after the last id', async () => {
    const { job_id } = await berth.submit({ command: 'for i in $(seq 50); do echo line $i; sleep 0.02; done' });
    const first = await readEvents(berth, job_id, undefined, 3);
    const rest = await readEvents(berth, job_id, first.at(-1)?.id, Number.POSITIVE_INFINITY);
    const texts = [...first, ...rest]
      .filter((event) => event.event === 'log')
      .map((event) => JSON.parse(event.data).text);
    expect(texts.join('')).toBe(Array.from({ length: 50 }, (_, i) => `line ${i + 1}\n`).join(''));
    expect(rest.at(-1)?.event).toBe('end');
  });

  it('keeps the head and the end of a 1 GB log, says what was cut, and the worker stays small', async () => {
    // The first output that reaches the limit grows the heap once, whatever comes after it.
    const warm = await berth.submit({ command: "head -c 20000000 /dev/zero | tr '\\0' x", memory_mb: 64 });
    await berth.wait(warm.job_id);
    const before = await residentMb(berth);
    const { job_id } = await berth.submit({
      command: "echo first; head -c 1000000000 /dev/zero | tr '\\0' x; echo; echo last",
      memory_mb: 64,
      timeout_seconds: 100,
    });
    let peak = before;
    const watching = setInterval(async () => {
      peak = Math.max(peak, await residentMb(berth));
    }, 100);
    const job = await berth.wait(job_id);
    clearInterval(watching);
    expect(job).toMatchObject({ state: 'completed', stdout_truncated: true });
    expect(job.stdout.endsWith('x\nlast\n')).toBe(true);
    expect(job.stdout).toMatch(/\[berth\] \d+ bytes of output were cut here/);
    const all = await (await fetch(`${berth.url}/v1/jobs/${job_id}/logs?stream=stdout`)).text();
    expect(all.startsWith('first\nxxx')).toBe(true);
    expect(all.length).toBeLessThan(10.2 * 1024 * 1024);
    expect(peak - before, `from ${before} to ${peak} MB`).toBeLessThan(50);
  });

  it('takes bytes that are no text', async () => {
    const { job_id } = await berth.submit({ command: "printf '\\377\\376ok\\n'" });
    const job = await berth.wait(job_id);
    expect(job).toMatchObject({ state: 'completed', stdout: '\ufffd\ufffdok\n' });
    const raw = await (await fetch(`${berth.url}/v1/jobs/${job_id}/logs`)).arrayBuffer();
    expect([...new Uint8Array(raw)]).toEqual([0xff, 0xfe, 0x6f, 0x6b, 0x0a]);
  });
});

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
  const response = await fetch(`${berth.url}/v1/jobs/${job_id}/logs?follow=true`, {
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

const residentMb = async (berth: Berth): Promise<number> => {
  const status = readFileSync(`/proc/${berth.workers[0]?.pid}/status`, 'utf8');
  return Number(status.match(/VmRSS:\s+(\d+)/)?.[1]) / 1024;
};
