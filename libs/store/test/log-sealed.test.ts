import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LogEntry, type LogPiece, openLocalFiles, type Store } from '@berth/store';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openLog, readAll } from './open-log.js';
import { openTestStore, toSettlement } from './open-test-store.js';

const backwards = async (store: Store, id: string): Promise<LogEntry[]> => {
  const all: LogEntry[] = [];
  for await (const entry of store.logs.readBackwards(id)) all.push(entry);
  return all;
};

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      sizes: fc.array(fc.nat(30), { minLength: 1, maxLength: 5 }),
      dice: fc.nat(99),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('seal' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('again' as const) }) },
);

const toPieces = (sizes: number[], dice: number, attempt: number): LogPiece[] =>
  sizes.map((size, i) => {
    const kind = (dice + 3 * i) % 10;
    const bytes = Buffer.from(
      Array.from({ length: size + 1 }, (_, at) => (at % 7 === kind ? 10 : 97 + ((at + i) % 26))),
    );
    if (kind === 8) return { stream: 'note', attempt, bytes, about: { stdout: 3, stderr: 1 } } as LogPiece;
    if (kind === 9) return { stream: 'note', attempt, bytes };
    return { stream: kind < 5 ? 'stdout' : 'stderr', attempt, bytes };
  });

const openFolder = () => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-segments-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return openLocalFiles(folder);
};

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;
type Log = Awaited<ReturnType<typeof openLog>>;

const beginAgain = async (store: Store, log: Log): Promise<Log> => {
  await store.claims.settle(log.held, toSettlement('released'));
  const next = await openLog(store, log.id);
  await store.logs.beginAnew(next.held);
  return next;
};

/** The same log in two stores, of which only the first one seals. */
const play = async (store: Store, plain: Store, steps: Step[]): Promise<{ log: Log; twin: Log }> => {
  let [log, twin] = [await openLog(store), await openLog(plain)];
  for (const one of steps) {
    if (one.kind === 'write') {
      const pieces = toPieces(one.sizes, one.dice, log.held.attempt);
      await Promise.all([log.append(...pieces), twin.append(...pieces)]);
    } else if (one.kind === 'seal') await store.logs.seal(log.id, log.held);
    else [log, twin] = [await beginAgain(store, log), await beginAgain(plain, twin)];
  }
  return { log, twin };
};

const strip = (entries: LogEntry[]) => entries.map(({ at: _, ...entry }) => entry);

describe('a log that is sealed now and then', () => {
  it('any pieces, seals, restarts and places: what is read is what a log without segments has', async () => {
    const { store } = openTestStore('sealed', await openFolder());
    const plain = openTestStore('plain').store;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), fc.nat(1_000), async (steps, place) => {
        const { log, twin } = await play(store, plain, steps);
        const expected = strip(await readAll(plain, twin.id));
        expect(strip(await readAll(store, log.id))).toEqual(expected);
        expect(strip(await backwards(store, log.id)).reverse()).toEqual(expected);
        const from = expected[place % (expected.length + 1)];
        const rest = strip(await store.logs.readAfter(log.id, from?.id));
        expect(expected.slice(from ? expected.indexOf(from) + 1 : 0).slice(0, rest.length)).toEqual(rest);
        const tails = [1, place % 90] as const;
        expect(await store.logs.readTails(log.id, ...tails)).toEqual(await plain.logs.readTails(twin.id, ...tails));
        for (let epoch = 1; epoch <= log.held.epoch; epoch += 1) {
          const { unsealed_bytes: _, ...position } = await store.logs.readPosition(log.id, epoch);
          expect(await plain.logs.readPosition(twin.id, epoch)).toMatchObject(position);
        }
      }),
      { numRuns: 30 },
    );
  }, 240_000);
});
