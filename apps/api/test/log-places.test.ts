import type { LogEntry, LogPiece } from '@berth/store';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openWriter, toPiece, type Writer } from './log-writer.js';
import { collect, openTestApi, readEvents, settleJob, type TestApi } from './open-test-api.js';

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi('log-places');
});
afterAll(() => api.close());

const read = async (job_id: string, query: string): Promise<Buffer> => {
  const response = await fetch(`${api.url}/v1/jobs/${job_id}/logs?${query}`);
  const body = Buffer.from(await response.arrayBuffer());
  if (response.status !== 200) throw new Error(`${query} answered ${response.status}: ${body}`);
  return body;
};

const readAll = async ({ job_id, store: { logs } }: Writer): Promise<LogEntry[]> => {
  const all: LogEntry[] = [];
  for (let page = await logs.readAfter(job_id); page.length > 0; ) {
    all.push(...page);
    page = await logs.readAfter(job_id, all.at(-1)?.id);
  }
  return all;
};

const textOf = (entries: LogEntry[], stream: string): Buffer =>
  Buffer.concat(
    entries.filter((entry) => stream === 'both' || ['note', stream].includes(entry.stream)).map(({ bytes }) => bytes),
  );

/** The answers by what the words mean, from the whole text. */
const naive = {
  offset: (text: Buffer, bytes: number) => text.subarray(bytes),
  from_line: (text: Buffer, line: number) => {
    const lines = text.toString('latin1').split(/(?<=\n)/);
    return Buffer.from(lines.slice(line - 1).join(''), 'latin1');
  },
  tail: (text: Buffer, count: number) => {
    const lines = text.toString('latin1').split(/(?<=\n)/);
    return Buffer.from(count === 0 ? '' : lines.slice(-count).join(''), 'latin1');
  },
};

const lines = fc.string({ unit: fc.constantFrom('a', 'b', '\n', 'é'), maxLength: 25 });
const step = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fc.constantFrom('stdout', 'stderr', 'stdout', 'note'), lines) },
  { weight: 1, arbitrary: fc.constant('seal' as const) },
);

describe('reading from a place', () => {
  it('any log, sealed anywhere: offset, from_line and tail are what they are of the whole text', async () => {
    const shape = fc.record({
      steps: fc.array(step, { maxLength: 20 }),
      ends: fc.boolean(),
      places: fc.array(fc.nat(60), { minLength: 3, maxLength: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(shape, fc.constantFrom('both', 'stdout', 'stderr'), async ({ steps, ends, places }, stream) => {
        const writer = await openWriter(api);
        for (const one of steps) {
          if (one === 'seal') await writer.seal();
          else await writer.write(toPiece(one[1], one[0] as LogPiece['stream']));
        }
        if (ends) await settleJob(writer.store, writer.claim());
        const text = textOf(await readAll(writer), stream);
        const [offset = 0, line = 0, tail = 0] = places;
        const ask = async (query: string) => (await read(writer.job_id, `stream=${stream}&${query}`)).toString('hex');
        expect(await ask(`offset=${offset}`)).toBe(naive.offset(text, offset).toString('hex'));
        expect(await ask(`from_line=${(line % 20) + 1}`)).toBe(naive.from_line(text, (line % 20) + 1).toString('hex'));
        expect(await ask(`tail=${tail % 12}`)).toBe(naive.tail(text, tail % 12).toString('hex'));
      }),
      { numRuns: 20 },
    );
  }, 240_000);

  it('since begins with what was written then, whether that is sealed or not', async () => {
    const writer = await openWriter(api);
    for (const [i, text] of ['one\n', 'two\n', 'three\n', 'four\n'].entries()) {
      await writer.write(toPiece(text));
      if (i === 1) await writer.seal();
      const { at } = (await readAll(writer)).at(-1) as LogEntry;
      // The next one is written in another millisecond.
      while (Date.now() <= (at ?? 0) + 1) await new Promise(setImmediate);
    }
    const entries = await readAll(writer);
    for (const [i, { at }] of entries.entries()) {
      const rest = textOf(entries.slice(i), 'both').toString();
      const iso = new Date(at ?? 0).toISOString();
      expect((await read(writer.job_id, `since=${iso}`)).toString()).toBe(rest);
      expect((await read(writer.job_id, `since=${((at ?? 0) / 1000).toFixed(3)}`)).toString()).toBe(rest);
    }
    expect((await read(writer.job_id, `since=${encodeURIComponent('2999-01-01T00:00:00+02:00')}`)).toString()).toBe('');
  });

  it('timestamps stand in front of each line, and beside each event', async () => {
    const writer = await openWriter(api);
    await writer.write(toPiece('one\ntw'), toPiece('o\n'), toPiece('err', 'stderr'));
    await writer.seal();
    const stamps = (await readAll(writer)).map(({ at }) => new Date(at ?? 0).toISOString());
    expect((await read(writer.job_id, 'timestamps=true')).toString()).toBe(
      `${stamps[0]} one\n${stamps[0]} two\n${stamps[2]} err`,
    );
    await settleJob(writer.store, writer.claim());
    const events = await collect(readEvents(`${api.url}/v1/jobs/${writer.job_id}/logs?timestamps=true`));
    expect(events.slice(0, 3).map(({ data }) => data.at)).toEqual(stamps);
  });

  it('beyond the end, with follow, goes on where that much has been written', async () => {
    const writer = await openWriter(api);
    await writer.write(toPiece('12345'));
    const following = read(writer.job_id, 'offset=8&follow=true');
    await writer.write(toPiece('67'));
    await writer.write(toPiece('89ab'));
    await settleJob(writer.store, writer.claim());
    expect((await following).toString()).toBe('9ab');
  });

  it.each([
    ['offset=1&tail=2', ['query.offset', 'query.tail']],
    ['from_line=1&since=5&offset=0', ['query.from_line', 'query.offset', 'query.since']],
    ['offset=-1', ['query.offset']],
    ['from_line=0', ['query.from_line']],
    ['since=yesterday', ['query.since']],
    ['since=1732320000000', ['query.since']],
    ['since=2026-13-01T00:00:00Z', ['query.since']],
    ['since=2020-02-31T00:00:00Z', ['query.since']],
    ['since=2026-02-29T00:00:00%2B02:00', ['query.since']],
    ['timestamps=yes', ['query.timestamps']],
    ['offset=9999999999999999', ['query.offset']],
  ])('%s is refused with the names of what is wrong', async (query, paths) => {
    const reply = await api.send('GET', `/v1/jobs/${await api.submit()}/logs?${query}`);
    expect(reply.status).toBe(400);
    expect(reply.body.errors.map(({ path }: { path: string }) => path).sort()).toEqual(paths);
  });
});
