import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { Context } from 'hono';
import { pino } from 'pino';
import { afterEach, expect, it, onTestFinished, vi } from 'vitest';
import { type Chunks, createStreams } from '../src/byte-stream.js';
import { openServer } from '../src/server.js';
import { until } from './open-test-api.js';

const STALLED_MS = 500;
const CHUNK = Buffer.alloc(64 * 1024, 'x');
const SMALL = Buffer.alloc(1024, 'x');

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of closing.splice(0).reverse()) await step();
});

/** A server of one stream, and a client that has asked for it and reads nothing yet. `closed`: whether the server has let it go. */
const openStream = async (start: (outgoing: ServerResponse) => Chunks) => {
  const seen = { ended: false, closed: false };
  const streams = createStreams(new AbortController().signal, pino({ level: 'silent' }), STALLED_MS);
  async function* watch(chunks: Chunks): Chunks {
    try {
      yield* chunks;
    } finally {
      seen.ended = true;
    }
  }
  const fetch = (raw: Request, env: unknown) => {
    const { outgoing } = env as { outgoing: ServerResponse };
    outgoing.once('close', () => {
      seen.closed = true;
    });
    const context = { env, req: { raw }, get: () => async () => undefined } as unknown as Context;
    return streams.answer(context, 'text/plain', () => watch(start(outgoing)));
  };
  const server = await openServer({ fetch, host: '127.0.0.1', port: 0, maxConnections: 10 });
  closing.push(server.close);
  const client = connect(server.port, '127.0.0.1');
  closing.push(() => client.destroy());
  client.on('error', () => undefined);
  client.pause();
  await once(client, 'connect');
  client.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  return { client, seen };
};

async function* repeat(chunk: Buffer, times: number): Chunks {
  for (let i = 0; i < times; i += 1) yield chunk;
}

it('a client that reads nothing is let go, and whatever makes its stream ends', async () => {
  const { seen } = await openStream(() => repeat(CHUNK, Number.POSITIVE_INFINITY));
  await until('the end', () => seen.closed && seen.ended);
});

it('so is one that stalls when everything has been made', async () => {
  let sent = 0;
  const { client, seen } = await openStream(async function* (outgoing) {
    while (outgoing.writableLength === 0) {
      yield SMALL;
      sent += SMALL.length;
      await new Promise(setImmediate);
    }
  });
  await until('the last chunk to be on its way', () => seen.ended);
  expect(seen.closed).toBe(false);
  await until('the end', () => seen.closed);
  let read = 0;
  client.on('data', (chunk) => {
    read += chunk.length;
  });
  client.resume();
  await once(client, 'close');
  expect(read).toBeLessThan(sent);
});

it('one that is slow is served for as long as it takes', async () => {
  const chunks = 400;
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => void vi.useRealTimers());
  const { client, seen } = await openStream(() => repeat(CHUNK, chunks));
  let bytes = 0;
  // Time passes with what is read. In that for which a client may stall it takes more than what the kernel may hold, until which nothing goes
  // out; for the whole it takes four times as long.
  client.on('data', (chunk) => {
    bytes += chunk.length;
    vi.advanceTimersByTime((chunk.length / CHUNK.length / 100) * STALLED_MS);
  });
  client.resume();
  await until('the whole', () => bytes > chunks * CHUNK.length);
  expect(seen.ended).toBe(true);
});

it('one to which nothing is written is left alone', async () => {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  const { client, seen } = await openStream(async function* () {
    yield 'first';
    await promise;
    yield 'last';
  });
  await new Promise((done) => setTimeout(done, 3 * STALLED_MS));
  expect(seen.closed).toBe(false);
  let text = '';
  client.on('data', (chunk) => {
    text += chunk;
  });
  client.resume();
  resolve();
  await until('the last chunk', () => text.includes('last'));
});
