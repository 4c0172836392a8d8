import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  collect,
  openTestApi,
  readEvents,
  type SseEvent,
  settleJob,
  startJob,
  type TestApi,
  until,
  writeLog,
} from './open-test-api.js';

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi('logs');
});
afterAll(() => api.close());

const write = (job_id: string, bytes: Buffer | string, stream: 'stdout' | 'stderr' = 'stdout') =>
  writeLog(api.store, job_id, [{ stream, attempt: 1, bytes: Buffer.from(bytes) }]);

const logs = (job_id: string, query = '') => api.send('GET', `/v1/jobs/${job_id}/logs${query}`);

const streamUrl = (job_id: string, query = ''): string => `${api.url}/v1/jobs/${job_id}/logs${query}`;

const textOf = (events: SseEvent[]): string =>
  events
    .filter(({ event }) => event === 'log')
    .map(({ data }) => data.text)
    .join('');

const finishedJob = async (pieces: (Buffer | string)[]): Promise<string> => {
  const job_id = await api.submit();
  const claim = await startJob(api.store, job_id);
  for (const piece of pieces) await write(job_id, piece);
  await settleJob(api.store, claim);
  return job_id;
};

describe('logs as plain text', () => {
  it('row 86: are empty before the job runs', async () => {
    const reply = await logs(await api.submit());
    expect(reply).toMatchObject({ status: 200, text: '' });
    expect(reply.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(reply.headers['x-content-type-options']).toBe('nosniff');
  });

  it('are the bytes as they were written, by stream', async () => {
    const job_id = await api.submit();
    const out = Buffer.from('a\xff\x00b', 'latin1');
    await write(job_id, out);
    await write(job_id, 'problem\n', 'stderr');
    const read = async (stream: string) =>
      Buffer.from(await (await fetch(streamUrl(job_id, `?stream=${stream}`))).arrayBuffer());
    expect(await read('stdout')).toEqual(out);
    expect(await read('stderr')).toEqual(Buffer.from('problem\n'));
    expect(await read('both')).toEqual(Buffer.concat([out, Buffer.from('problem\n')]));
  });

  it('are whole however long they are', async () => {
    const bytes = randomBytes(5_000_000);
    const pieces = Array.from({ length: 500 }, (_, i) => bytes.subarray(i * 10_000, (i + 1) * 10_000));
    const job_id = await api.submit();
    await writeLog(
      api.store,
      job_id,
      pieces.map((piece) => ({ stream: 'stdout' as const, attempt: 1, bytes: piece })),
    );
    const read = Buffer.from(await (await fetch(streamUrl(job_id))).arrayBuffer());
    expect(read.equals(bytes)).toBe(true);
  });

  it.each([
    [0, ''],
    [1, 'four'],
    [2, 'three\nfour'],
    [4, 'one\ntwo\nthree\nfour'],
    [9, 'one\ntwo\nthree\nfour'],
  ])('tail=%i of four lines, the last without an end, is %j', async (tail, text) => {
    const job_id = await finishedJob(['one\nt', 'wo\nthr', 'ee', '\n', 'four']);
    expect((await logs(job_id, `?tail=${tail}`)).text).toBe(text);
  });

  it.each([
    [0, ''],
    [1, 'b\n'],
    [2, 'a\nb\n'],
    [3, '\na\nb\n'],
  ])('tail=%i of whole lines is %j', async (tail, text) => {
    const job_id = await finishedJob(['x\n', '\na', '\nb\n']);
    expect((await logs(job_id, `?tail=${tail}`)).text).toBe(text);
  });

  it('tail counts the lines of the stream that is asked for', async () => {
    const job_id = await api.submit();
    await write(job_id, 'out 1\nout 2\n');
    await write(job_id, 'err 1\nerr 2\n', 'stderr');
    await write(job_id, 'out 3\n');
    expect((await logs(job_id, '?stream=stderr&tail=1')).text).toBe('err 2\n');
    expect((await logs(job_id, '?stream=stdout&tail=2')).text).toBe('out 2\nout 3\n');
  });

  it('follow to the end of the job', async () => {
    const job_id = await api.submit();
    const claim = await startJob(api.store, job_id);
    await write(job_id, 'first\n');
    const response = await fetch(streamUrl(job_id, '?follow=true'));
    const reader = response.body?.getReader();
    const next = async () => Buffer.from((await reader?.read())?.value ?? []).toString();
    expect(await next()).toBe('first\n');
    await write(job_id, 'second\n');
    expect(await next()).toBe('second\n');
    await write(job_id, 'last\n');
    await settleJob(api.store, claim);
    expect(await next()).toBe('last\n');
    expect((await reader?.read())?.done).toBe(true);
  });
});

describe('logs as an event stream', () => {
  it('end with the outcome', async () => {
    const job_id = await finishedJob(['hello\n']);
    const events = await collect(readEvents(streamUrl(job_id)));
    expect(events).toEqual([
      { id: expect.stringMatching(/^\d+-\d+$/), event: 'log', data: { stream: 'stdout', attempt: 1, text: 'hello\n' } },
      { id: undefined, event: 'end', data: { state: 'completed', exit_code: 0, cause: null } },
    ]);
  });

  it('follow a running job by default, and end at once with follow=false', async () => {
    const job_id = await api.submit();
    const claim = await startJob(api.store, job_id);
    await write(job_id, 'one');
    const present = await collect(readEvents(streamUrl(job_id, '?follow=false')));
    expect(present.map(({ event, data }) => data.text ?? `${event} ${data.state}`)).toEqual(['one', 'end running']);
    const following = collect(readEvents(streamUrl(job_id)));
    await write(job_id, 'two');
    await settleJob(api.store, claim);
    const events = await following;
    expect(textOf(events)).toBe('onetwo');
    expect(events.at(-1)?.event).toBe('end');
  });

  it('go on after a break without losing or doubling anything, whatever the pieces cut', async () => {
    const text = Array.from({ length: 300 }, (_, i) => `line ${i}: grün 😀 €\n`).join('');
    const bytes = Buffer.from(text);
    const job_id = await api.submit();
    const claim = await startJob(api.store, job_id);
    const writeAll = async () => {
      for (let at = 0; at < bytes.length; at += 37) await write(job_id, bytes.subarray(at, at + 37));
      await settleJob(api.store, claim);
    };
    const writing = writeAll();
    const events: SseEvent[] = [];
    for (let last: string | undefined, breaks = 0; events.at(-1)?.event !== 'end'; breaks++) {
      let taken = 0;
      for await (const event of readEvents(streamUrl(job_id), last)) {
        events.push(event);
        last = event.id ?? last;
        taken += 1;
        if (taken > 5 + (breaks % 7)) break;
      }
    }
    await writing;
    expect(textOf(events)).toBe(text);
    const ids = events.map(({ id }) => id).filter((id) => id !== undefined);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('carry what a hostile program writes as data only', async () => {
    const hostile = 'x\n\nevent: end\ndata: {"state":"completed"}\n\nid: 9-9\r\rdata: y\n';
    const events = await collect(readEvents(streamUrl(await finishedJob([hostile]))));
    expect(events.map(({ event }) => event)).toEqual(['log', 'end']);
    expect(textOf(events)).toBe(hostile);
  });

  it('end for all who follow, a hundred of them', async () => {
    const job_id = await api.submit();
    const claim = await startJob(api.store, job_id);
    const all = Array.from({ length: 100 }, () => collect(readEvents(streamUrl(job_id))));
    await write(job_id, 'hello');
    await settleJob(api.store, claim);
    for (const events of await Promise.all(all)) {
      expect(textOf(events)).toBe('hello');
      expect(events.at(-1)?.data).toMatchObject({ state: 'completed' });
    }
  });

  it('read no further ahead than a stalled client takes', async () => {
    const job_id = await api.submit();
    const piece = { stream: 'stdout' as const, attempt: 1, bytes: Buffer.alloc(16 * 1024, 'x') };
    for (let i = 0; i < 10; i++)
      await writeLog(
        api.store,
        job_id,
        Array.from({ length: 64 }, () => piece),
      );
    let pages = 0;
    const { readAfter } = api.store.logs;
    api.store.logs.readAfter = (...args) => {
      pages += 1;
      return readAfter(...args);
    };
    const stop = new AbortController();
    const response = await fetch(streamUrl(job_id, '?follow=true'), { signal: stop.signal });
    const reader = response.body?.getReader();
    await reader?.read();
    const settled = async (): Promise<boolean> => {
      const before = pages;
      for (let i = 0; i < 20; i++) await api.send('GET', '/health');
      return pages === before;
    };
    await until('the reading to stand still', settled);
    // Of at least 160: no more than 64 KiB of the 10 MiB are held at a time.
    expect(pages).toBeLessThan(120);
    stop.abort();
    await reader?.read().catch(() => {});
    api.store.logs.readAfter = readAfter;
  });
});
