import { AppError } from '@berth/domain';
import type { Context } from 'hono';
import { pino } from 'pino';
import { expect, it, onTestFinished, vi } from 'vitest';
import { type Chunks, createStreams } from './byte-stream.js';

const answer = (start: (signal: AbortSignal) => Chunks, identify = async (): Promise<unknown> => ({})) => {
  const lines: string[] = [];
  const log = pino({ base: null, timestamp: false }, { write: (line: string) => void lines.push(line) });
  const req = { raw: new Request('http://localhost/') };
  const context = { env: undefined, req, get: () => identify } as unknown as Context;
  const response = createStreams(new AbortController().signal, log).answer(context, 'text/plain', start);
  return { reader: (response.body as ReadableStream<Uint8Array>).getReader(), lines };
};

const defer = () => {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
};

it('a client that leaves while a chunk is on its way ends the chunks, and is nothing to warn of', async () => {
  const steps: string[] = [];
  const { promise: asked, resolve: noteAsked } = defer();
  const { reader, lines } = answer(async function* (signal) {
    try {
      yield 'first';
      noteAsked();
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      yield 'second';
    } finally {
      steps.push('ended');
    }
  });
  expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe('first');
  const second = reader.read();
  await asked;
  await reader.cancel();
  expect(await second).toMatchObject({ done: true });
  expect([steps, lines]).toEqual([['ended'], []]);
});

it('a stream that fails midway fails for its reader too, and is warned of', async () => {
  const { reader, lines } = answer(async function* () {
    yield 'first';
    throw new Error('broken');
  });
  await reader.read();
  await expect(reader.read()).rejects.toThrow('broken');
  expect(lines).toEqual([expect.stringContaining('a stream ended before its time')]);
});

it('a stream ends in good order soon after its key is revoked, and not because the broker is away', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  let identify = async (): Promise<unknown> => ({});
  const { reader, lines } = answer(
    async function* (signal) {
      yield 'first';
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    },
    () => identify(),
  );
  await reader.read();
  let ended = false;
  const end = reader.read().then(({ done }) => {
    ended = done;
  });
  identify = async () => {
    throw new Error('Connection is closed.');
  };
  await vi.advanceTimersByTimeAsync(60_000);
  expect(ended).toBe(false);
  identify = async () => {
    throw new AppError('unauthorized', 'no');
  };
  await vi.advanceTimersByTimeAsync(15_000);
  await end;
  expect([ended, lines, vi.getTimerCount()]).toEqual([true, [], 0]);
});
