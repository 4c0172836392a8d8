import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openWriter, toPiece } from './log-writer.js';
import { collect, openTestApi, readEvents, type SseEvent, settleJob, type TestApi, until } from './open-test-api.js';

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi('log-following', {}, { stalledFollowerMs: 0 });
});
afterAll(() => api.close());

const streamUrl = (job_id: string): string => `${api.url}/v1/jobs/${job_id}/logs`;

const textOf = (events: SseEvent[]): string =>
  events
    .filter(({ event }) => event === 'log')
    .map(({ data }) => data.text)
    .join('');

const countReads = () => {
  const { logs } = api.store;
  const { readAfter } = logs;
  const counted = { reads: 0, restore: () => void Object.assign(logs, { readAfter }) };
  logs.readAfter = (...args) => {
    counted.reads += 1;
    return readAfter(...args);
  };
  return counted;
};

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      text: fc.string({ unit: fc.constantFrom('a', '\n', '€'), minLength: 1, maxLength: 40 }),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'seal' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'adopt' as const }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('follow' as const), breaks: fc.nat(4) }) },
);

/** Follows to the end, going away after so many events each time and coming back. */
const followTo = async (job_id: string, breaks: number): Promise<SseEvent[]> => {
  const events: SseEvent[] = [];
  for (let last: string | undefined; events.at(-1)?.event !== 'end'; ) {
    let taken = 0;
    for await (const event of readEvents(streamUrl(job_id), last)) {
      events.push(event);
      last = event.id ?? last;
      taken += 1;
      if (breaks > 0 && taken >= breaks) break;
    }
  }
  return events;
};

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** What was written, and what each follower heard. */
const play = async (steps: Step[]): Promise<{ text: string; heard: SseEvent[][] }> => {
  const writer = await openWriter(api);
  const following = [followTo(writer.job_id, 0)];
  let text = '';
  const take = async (one: Step): Promise<unknown> => {
    if (one.kind === 'seal') return writer.seal();
    if (one.kind === 'adopt') return writer.adopt();
    if (one.kind === 'follow') return following.push(followTo(writer.job_id, one.breaks));
    // Halves of characters are put together.
    const bytes = Buffer.from(one.text);
    await writer.write(toPiece(bytes.subarray(0, bytes.length - 1)), toPiece(bytes.subarray(bytes.length - 1)));
    text += one.text;
  };
  for (const one of steps) await take(one);
  await settleJob(api.store, writer.claim());
  following.push(followTo(writer.job_id, 1));
  await api.store.logs.seal(writer.job_id);
  following.push(followTo(writer.job_id, 0));
  return { text, heard: await Promise.all(following) };
};

describe('followers', () => {
  it('of any log: each piece once and in order, whatever is sealed or adopted meanwhile, and however often they come back', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const { text, heard } = await play(steps);
        for (const events of heard) {
          expect(textOf(events)).toBe(text);
          const ids = events.flatMap(({ id }) => id ?? []);
          expect(new Set(ids).size).toBe(ids.length);
        }
      }),
      { numRuns: 15 },
    );
  }, 240_000);

  it('of one job are one reader of the broker', async () => {
    const writer = await openWriter(api);
    const all = Array.from({ length: 200 }, () => {
      const events = readEvents(streamUrl(writer.job_id));
      return { first: events.next(), rest: events };
    });
    await writer.write(toPiece('first\n'));
    await Promise.all(all.map(({ first }) => first));
    const counted = countReads();
    for (let i = 0; i < 50; i += 1) await writer.write(toPiece(`${i}\n`));
    await settleJob(api.store, writer.claim());
    const texts = await Promise.all(all.map(async ({ rest }) => textOf(await collect(rest))));
    counted.restore();
    expect(new Set(texts)).toEqual(new Set([Array.from({ length: 50 }, (_, i) => `${i}\n`).join('')]));
    // One for each piece, one for each time that nothing more was there, and looks now and then and at the end: far from one for each reader.
    expect(counted.reads).toBeLessThanOrEqual(200);
  });

  it('that stand still while much is written are told where they were, come back, and harm nobody', async () => {
    const writer = await openWriter(api);
    await writer.write(toPiece('begin\n'));
    const honest = collect(readEvents(streamUrl(writer.job_id)));
    const stop = new AbortController();
    const headers = { accept: 'text/event-stream' };
    const response = await fetch(streamUrl(writer.job_id), { headers, signal: stop.signal });
    const reader = response.body?.getReader();
    const decoder = new TextDecoder();
    let heard = decoder.decode((await reader?.read())?.value);
    // More than the sockets hold between the two.
    const line = `${'x'.repeat(64 * 1024 - 1)}\n`;
    for (let i = 0; i < 300; i += 1) {
      await writer.write(toPiece(line));
      if (i % 32 === 31) await writer.seal();
    }
    await settleJob(api.store, writer.claim());
    expect(textOf(await honest).length).toBe(6 + 300 * line.length);
    for (let chunk = await reader?.read(); chunk && !chunk.done; chunk = await reader?.read()) {
      heard += decoder.decode(chunk.value, { stream: true });
    }
    const frames = heard.split('\n\n');
    const gap = frames.at(-2) ?? '';
    expect(gap).toMatch(/^event: gap\ndata: \{"from":"\d+-\d+"\}$/);
    const from = JSON.parse(gap.slice(gap.indexOf('data: ') + 6)).from;
    const rest = await collect(readEvents(streamUrl(writer.job_id), from));
    const taken = frames.filter((frame) => frame.includes('event: log')).length;
    expect(frames.at(-3)).toContain(`id: ${from}\n`);
    expect(textOf(rest).length).toBe((301 - taken) * line.length);
    expect(rest.at(-1)?.event).toBe('end');
  }, 240_000);

  it('leave nothing behind: no subscription, and no reading', async () => {
    const writer = await openWriter(api);
    const stop = new AbortController();
    const response = await fetch(streamUrl(writer.job_id), {
      headers: { accept: 'text/event-stream' },
      signal: stop.signal,
    });
    const reader = response.body?.getReader();
    await writer.write(toPiece('x'));
    await reader?.read();
    stop.abort();
    await reader?.read().catch(() => {});
    const counted = countReads();
    await until('the feed to be closed', async () => {
      const before = counted.reads;
      await writer.write(toPiece('y'));
      await api.send('GET', '/health');
      return counted.reads === before;
    });
    counted.restore();
  });
});
