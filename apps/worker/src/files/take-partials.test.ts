import { FilesUnavailable, type PartialOutputs } from '@berth/store';
import { pino } from 'pino';
import { expect, it, onTestFinished, vi } from 'vitest';
import { createMemoryFiles } from '../../test/memory-files.js';
import type { Hold } from '../hold.js';
import type { Container } from '../runtime/container-runtime.js';
import { createPartialTaker } from './take-partials.js';

const JOB = '01a203e8-f53f-7020-bbde-f6a317f77f74';

const toArchive = async function* (chunks: Buffer[]) {
  yield* chunks;
};

/** A taker whose copies take 2 s each, of a job in its first epoch; `ask` settles when it is answered or was asked in vain. */
const openTaker = () => {
  let now_ms = 0;
  const { files, objects } = createMemoryFiles();
  const put: typeof files.put = async (name, source, options) => {
    if (world.fails && name.endsWith('.json.gz')) throw new FilesUnavailable('away');
    const written = await files.put(name, source, options);
    stored.push(name);
    return written;
  };
  const stored: string[] = [];
  const answers: PartialOutputs[] = [];
  const due: { at: number; work: () => void }[] = [];
  const hold = { claim: { epoch: 1, spec: { outputs: ['a/**', 'b/**'] } } } as unknown as Hold;
  const world = {
    hold,
    fails: false,
    wanted: 0,
    archive: (_signal?: AbortSignal): AsyncIterable<Buffer> => toArchive([]),
  };
  const container: Pick<Container, 'copyOut'> = {
    async *copyOut(_place, signal) {
      now_ms += 1_000;
      yield* world.archive(signal);
    },
  };
  Object.assign(hold, { container });
  const taker = createPartialTaker({
    leases: { find: () => world.hold },
    jobFiles: { files: { ...files, put }, limits: { files: 10, bytes: 1_000 } } as never,
    partials: {
      async isWanted() {
        world.wanted += 1;
        return true;
      },
      answer: async (_job, outputs) => void answers.push(outputs),
    },
    now: () => now_ms,
    later: (work, delay_ms) => due.push({ at: now_ms + delay_ms, work }),
    log: pino({ level: 'silent' }),
  });
  return {
    world,
    answers,
    stored,
    /** Names of what is stored, by their part. */
    listParts: () => [...new Set([...objects.keys()].map((name) => /partial-([^.]+)/.exec(name)?.[1]))].sort(),
    pass: (ms: number) => {
      now_ms += ms;
      for (const one of due.filter(({ at }) => at <= now_ms)) one.work();
    },
    async ask(): Promise<void> {
      const before = world.wanted;
      taker.take(JOB);
      await expect.poll(() => world.wanted).toBe(before + 1);
      await new Promise(setImmediate);
    },
  };
};

const untilAnswers = (taker: ReturnType<typeof openTaker>, count: number) =>
  expect.poll(() => taker.answers.length).toBe(count);

it('gives the same again for ten times as long as it took, and then takes another', async () => {
  const taker = openTaker();
  await taker.ask();
  await untilAnswers(taker, 1);
  expect(taker.answers[0]?.part).toBe('1-0');
  taker.pass(19_999);
  await taker.ask();
  await untilAnswers(taker, 2);
  expect(taker.answers[1]).toEqual(taker.answers[0]);
  taker.pass(1);
  await taker.ask();
  await untilAnswers(taker, 3);
  expect(taker.answers[2]?.part).toBe('1-22000');
  expect(taker.listParts()).toEqual(['1-0', '1-22000']);
  taker.pass(59_999);
  expect(taker.listParts()).toEqual(['1-0', '1-22000']);
  taker.pass(1);
  await expect.poll(taker.listParts).toEqual(['1-22000']);
});

it('takes another at once of another attempt, and removes that of the one before', async () => {
  const taker = openTaker();
  await taker.ask();
  await untilAnswers(taker, 1);
  taker.world.hold = { ...taker.world.hold, claim: { ...taker.world.hold.claim, epoch: 2 } };
  await taker.ask();
  await untilAnswers(taker, 2);
  expect(taker.answers[1]).toMatchObject({ part: '2-2000', epoch: 2 });
  taker.pass(60_000);
  await expect.poll(taker.listParts).toEqual(['2-2000']);
});

it('does not try again and again what fails, leaves nothing of it, and gives what it has meanwhile', async () => {
  const taker = openTaker();
  await taker.ask();
  await untilAnswers(taker, 1);
  taker.pass(20_000);
  taker.world.fails = true;
  await taker.ask();
  await expect.poll(() => taker.stored.at(-1)).toBe(`artifacts/${JOB}/partial-1-22000.pack`);
  await expect.poll(taker.listParts).toEqual(['1-0']);
  taker.world.fails = false;
  await taker.ask();
  await untilAnswers(taker, 2);
  expect(taker.answers[1]?.part).toBe('1-0');
  taker.pass(60_000);
  expect(taker.listParts()).toEqual(['1-0']);
});

it('takes as long as it needs where something comes, and gives up where nothing does', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const taker = openTaker();
  taker.world.archive = async function* (given) {
    for (let i = 0; i < 4; i += 1) {
      await new Promise((resolve) => setTimeout(resolve, 50_000));
      given?.throwIfAborted();
      yield Buffer.alloc(1024);
    }
  };
  let signal: AbortSignal | undefined;
  const hang = async function* (given?: AbortSignal) {
    signal = given;
    yield await new Promise<Buffer>((_, reject) => given?.addEventListener('abort', () => reject(given.reason)));
  };
  await taker.ask();
  await vi.advanceTimersByTimeAsync(400_000);
  await untilAnswers(taker, 1);
  taker.pass(20_000);
  taker.world.archive = hang;
  await taker.ask();
  await vi.advanceTimersByTimeAsync(59_999);
  expect(signal?.aborted).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(signal?.reason).toEqual(new Error('nothing moved for 60 s'));
  await expect.poll(taker.listParts).toEqual(['1-0']);
});
