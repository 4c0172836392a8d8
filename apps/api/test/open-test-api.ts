import { mkdtemp, rm } from 'node:fs/promises';
import { request as sendRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Claim, LogPiece, Settlement, Store } from '@berth/store';
import { openRedis, RequestRedis } from '@berth/store';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { expect, vi } from 'vitest';
import { createApp } from '../src/app.js';
import { type ApiConfig, toApiConfig } from '../src/config.js';
import { type ApiContext, type ContextOverrides, openContext } from '../src/context.js';
import { type HttpServer, openServer } from '../src/server.js';

export interface Reply {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
  /** The body, where it is JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  body: any;
}

interface Sent {
  body?: string | Buffer | object;
  headers?: Record<string, string>;
}

/** An API of a test's own: the real app and server, on the tests' Redis, under its own prefix. */
export interface TestApi {
  url: string;
  port: number;
  store: Store;
  context: ApiContext;
  server: HttpServer;
  /** An object is sent as JSON; the path goes out as it is written. */
  send(method: string, path: string, sent?: Sent): Promise<Reply>;
  submit(spec?: object): Promise<string>;
  /** Ends it, and leaves its keys to who shares them. */
  end(): Promise<void>;
  close(): Promise<void>;
}

const toBody = (body: Sent['body']): { bytes?: string | Buffer; type: Record<string, string> } => {
  if (body === undefined) return { type: {} };
  const json = { 'content-type': 'application/json' };
  return typeof body === 'string' || Buffer.isBuffer(body)
    ? { bytes: body, type: json }
    : { bytes: JSON.stringify(body), type: json };
};

const parse = (text: string, type: string | undefined): unknown =>
  type?.includes('json') && text !== '' ? JSON.parse(text) : undefined;

const send = (port: number, method: string, path: string, sent: Sent = {}): Promise<Reply> =>
  new Promise((resolve, reject) => {
    const { bytes, type } = toBody(sent.body);
    const length = bytes === undefined ? {} : { 'content-length': String(Buffer.byteLength(bytes)) };
    const headers = { ...type, ...length, ...sent.headers };
    const options = { port, host: '127.0.0.1', method, path, headers, agent: false };
    const request = sendRequest(options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        const body = parse(text, response.headers['content-type']);
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, body });
      });
    });
    request.on('error', reject);
    request.end(bytes);
  });

let opened = 0;

const testPrefix = (file: string): string => `test-api-${file}-${process.pid}-${opened++}`;

const deleteKeys = async (redisUrl: string, prefix: string): Promise<void> => {
  const redis = openRedis(redisUrl, 'steady');
  for await (const keys of redis.scanStream({ match: `${prefix}:*`, count: 1_000 })) {
    if (keys.length > 0) await redis.unlink(...(keys as string[]));
  }
  redis.disconnect();
};

const PATIENCE_MS = 20_000;

/**
 * Opens with connections for requests that wait for longer: where the broker is there all the time, it is this process that stood still where
 * an answer is late.
 */
export const openPatiently = async <T>(open: () => Promise<T>): Promise<T> => {
  const connecting = vi.spyOn(Redis.prototype, 'connect');
  try {
    return await open();
  } finally {
    for (const redis of connecting.mock.contexts) if (redis instanceof RequestRedis) redis.patience_ms = PATIENCE_MS;
    connecting.mockRestore();
  }
};

const isAnswering = (store: Store): Promise<boolean> =>
  store.ping().then(
    () => true,
    () => false,
  );

export const openTestApi = async (
  file: string,
  more: Partial<ApiConfig> = {},
  overrides: ContextOverrides = {},
): Promise<TestApi> => {
  const redisUrl = process.env.REDIS_URL;
  if (redisUrl === undefined) throw new Error('REDIS_URL is not set: run these tests through vitest');
  const folder = await mkdtemp(join(tmpdir(), 'berth-api-files-'));
  const filesPlace = { kind: 'folder', folder } as const;
  const config: ApiConfig = { ...toApiConfig({}), redisUrl, prefix: testPrefix(file), port: 0, filesPlace, ...more };
  const log = pino({ level: process.env.BERTH_TEST_LOG ?? 'silent' });
  // What a slow broker holds up is left behind by `close`, and may write one more file.
  const removeFiles = () => rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  const open = () => openContext(config, log, overrides);
  const context = await (more.redisUrl ? open() : openPatiently(open)).catch(async (error: unknown) => {
    await removeFiles();
    throw error;
  });
  const server = await openServer({ ...config, fetch: createApp(context).fetch as never });
  // A connection for requests refuses what comes before it is open, and a test may look into the store at once.
  await until('the connection to the broker', () => isAnswering(context.store));
  const { port } = server;
  const end = async (): Promise<void> => {
    context.stop();
    await server.close();
    await context.close();
    await removeFiles();
  };
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    store: context.store,
    context,
    server,
    send: (method, path, sent) => send(port, method, path, sent),
    async submit(spec = {}) {
      const reply = await send(port, 'POST', '/v1/jobs', { body: { command: 'true', ...spec } });
      if (reply.status !== 201) throw new Error(`expected 201, got ${reply.status}: ${reply.text}`);
      return reply.body.job_id;
    },
    end,
    async close() {
      await end();
      await deleteKeys(config.redisUrl, config.prefix);
    },
  };
};

/** Plays a worker: claims a pending job. */
export const claimJob = async (store: Store, job_id: string): Promise<Claim> => {
  const capacity = { centicpus: 1_000_000, memory_mb: 10_000_000, gpus: 0 };
  const reply = await store.claims.claim(job_id, {
    worker: 'w',
    engine: 'e',
    node: 'n',
    labels: {},
    region: 'default',
    datacenter: 'default',
    gpus: [],
    capacity,
  });
  if (reply.kind !== 'claimed') throw new Error(`expected to claim ${job_id}, got ${JSON.stringify(reply)}`);
  return reply.claim;
};

/** Plays a worker: claims a job and says that its container runs. */
export const startJob = async (store: Store, job_id: string): Promise<Claim> => {
  const claim = await claimJob(store, job_id);
  await store.claims.start(claim, 'sha256:abc');
  return claim;
};

/** Plays a worker: stores output. A job that nobody runs is claimed first. */
export const writeLog = async (store: Store, job_id: string, pieces: LogPiece[]): Promise<void> => {
  const record = await store.jobs.read(job_id);
  const epoch = record?.state === 'running' ? record.epoch : (await claimJob(store, job_id)).epoch;
  const first = (await store.logs.readPosition(job_id, epoch)).pieces + 1;
  const reply = await store.logs.append({ job_id, epoch, owner: 'w' }, { first, pieces });
  if (reply !== 'stored') throw new Error(`expected to store output of ${job_id}, got ${reply}`);
};

/** Plays a worker: ends an attempt. */
export const settleJob = async (store: Store, claim: Claim, more: Partial<Settlement> = {}): Promise<void> => {
  const reply = await store.claims.settle(claim, {
    type: 'completed',
    cause: null,
    exit_code: 0,
    message: null,
    delay_ms: 0,
    entry: { node: 'n', image_digest: 'sha256:abc', evidence: null },
    ...more,
  });
  if (reply.kind !== 'settled') throw new Error(`expected to settle, got ${JSON.stringify(reply)}`);
};

/** 2 s are promised, in which a busy machine may stand still; what waits for the broker is answered much later or never. */
export const PROMPT_MS = 10_000;

/** Waits for what gives no notice. */
export const until = async (what: string, look: () => Promise<boolean> | boolean, limit_ms = 30_000): Promise<void> => {
  const deadline = Date.now() + limit_ms;
  while (!(await look())) {
    if (Date.now() > deadline) throw new Error(`waited ${limit_ms} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

/** The classes in whose queues a message of the job waits. */
export const findQueues = async (api: TestApi, job_id: string): Promise<string[]> => {
  const found = api.context.producer.queues.map(async (queue) => {
    const messages = await queue.getJobs(['prioritized', 'waiting', 'delayed']);
    return messages.some((message) => message?.data.job_id === job_id) ? [queue.name] : [];
  });
  return (await Promise.all(found)).flat();
};

export interface SseEvent {
  id: string | undefined;
  event: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into events of every shape
  data: any;
}

const toSseEvent = (block: string): SseEvent | undefined => {
  const fields = new Map(
    block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
  );
  const data = fields.get('data');
  return data === undefined
    ? undefined
    : { id: fields.get('id'), event: fields.get('event') ?? '', data: JSON.parse(data) };
};

/** Reads an event stream; ends with it, or when the consumer does, which closes the connection. */
export async function* readEvents(url: string, last_event_id?: string): AsyncGenerator<SseEvent> {
  const stop = new AbortController();
  const headers = { accept: 'text/event-stream', ...(last_event_id ? { 'last-event-id': last_event_id } : {}) };
  const response = await fetch(url, { headers, signal: stop.signal });
  if (!response.ok || !response.body) throw new Error(`expected a stream, got ${response.status}`);
  let rest = '';
  const decoder = new TextDecoder();
  try {
    for await (const chunk of response.body) {
      const blocks = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split('\n\n');
      rest = blocks.pop() ?? '';
      for (const event of blocks.map(toSseEvent)) if (event) yield event;
    }
  } finally {
    stop.abort();
  }
}

export const collect = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
};

/** Reads the first event of a stream; the rest comes when the stream ends. */
export const beginEvents = async (url: string): Promise<{ first: SseEvent; rest: Promise<SseEvent[]> }> => {
  const events = readEvents(url);
  const { value, done } = await events.next();
  if (done) throw new Error('expected an event, got the end of the stream');
  return { first: value, rest: collect(events) };
};

/** Checks that an answer is a whole problem document. */
export const expectProblem = (reply: Reply): void => {
  expect(reply.headers['content-type']).toBe('application/problem+json');
  expect(reply.body).toMatchObject({
    type: expect.stringMatching(/^urn:berth:problem:/),
    title: expect.any(String),
    status: reply.status,
    detail: expect.any(String),
    code: expect.any(String),
  });
};
