import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Docker from 'dockerode';
import { Redis } from 'ioredis';

/** A whole Berth of a test's own: API and workers as processes, on the tests' Redis and engine, under its own prefix. */
export interface Berth {
  url: string;
  prefix: string;
  /** Sends JSON where a body is given, and reads JSON or problem+json. Asks as `ask` does. */
  request(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
  submit(spec: object): Promise<Job>;
  /** Holds until the job has ended. */
  wait(job_id: string, limit_ms?: number): Promise<Job>;
  waitForState(job_id: string, state: string): Promise<Job>;
  /** Until the job's stdout so far is this. */
  waitForOutput(job_id: string, stdout: string): Promise<Job>;
  /** Told to stop, it kills its containers; without `--kill` it leaves them to be adopted. */
  startWorker(env?: Record<string, string>, args?: string[]): Promise<Process>;
  startApi(): Promise<Process>;
  api: Process;
  workers: Process[];
  /** Names of this installation's containers, running or not. */
  containers(): Promise<string[]>;
  /** Ends every process and fails where a container or a key is left that should not be. */
  close(): Promise<void>;
}

interface Reply {
  status: number;
  headers: Headers;
  body: Record<string, unknown>;
}

type Job = Record<string, unknown> & {
  job_id: string;
  state: string;
  cause: string | null;
  exit_code: number | null;
  stdout: string;
  stderr: string;
  attempts: Record<string, unknown>[];
};

interface Process {
  pid: number;
  output(): string;
  kill(signal: NodeJS.Signals): void;
  ended: Promise<void>;
}

const root = fileURLToPath(new URL('..', import.meta.url));
const READY_MS = 100_000;

/** The caller's patience, in ever longer steps: for what gives no notice. The last look begins after the limit, so a standstill of ours costs nothing. */
export const until = async <T>(what: string, look: () => Promise<T | undefined>, limit_ms = 60_000): Promise<T> => {
  const deadline = Date.now() + limit_ms;
  for (let pause = 10; ; pause = Math.min(pause * 2, 250)) {
    const is_last = Date.now() >= deadline;
    const seen = await look().catch(() => undefined);
    if (seen !== undefined) return seen;
    if (is_last) throw new Error(`waited ${limit_ms} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
};

/** Below those that Linux gives to whoever names none, so that nobody else gets it before its process has it, or between two of its lives. */
export const findPort = async (): Promise<number> => {
  for (;;) {
    const port = randomInt(20_000, 32_000);
    const server = createServer().listen(port, '127.0.0.1');
    const is_free = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    await new Promise((resolve) => server.close(resolve));
    if (is_free) return port;
  }
};

const startProcess = (script: string, env: Record<string, string>, args: string[] = []): Process => {
  const child: ChildProcess = spawn(process.execPath, [`${root}${script}`, ...args], {
    env: { ...process.env, BERTH_LOG_LEVEL: 'info', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data) => lines.push(String(data)));
  const ended = once(child, 'exit').then(() => {});
  if (child.pid === undefined) throw new Error(`could not start ${script}`);
  return { pid: child.pid, output: () => lines.join(''), kill: (signal) => void child.kill(signal), ended };
};

const PATIENCE_MS = 60_000;

/**
 * As clients are told to: asks again while the broker does not answer, which an API says after a second and a half. Over a connection of its
 * own: the server closes one that idles, perhaps at the moment at which it is used again.
 */
export const ask = async (url: string, init: RequestInit = {}): Promise<Response> => {
  const deadline = Date.now() + PATIENCE_MS;
  const headers = new Headers(init.headers);
  headers.set('connection', 'close');
  for (;;) {
    const response = await fetch(url, { ...init, headers });
    if (response.status !== 503 || Date.now() >= deadline) return response;
    await response.body?.cancel();
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
};

const request = async (url: string, init: RequestInit): Promise<Reply> => {
  const response = await ask(url, init);
  const text = await response.text();
  const isJson = /json/.test(response.headers.get('content-type') ?? '');
  return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : { text } };
};

export interface BerthOptions {
  workers?: number;
  env?: Record<string, string>;
}

export const startBerth = async ({ workers = 1, env = {} }: BerthOptions = {}): Promise<Berth> => {
  const prefix = `e2e-${randomBytes(4).toString('hex')}`;
  const port = await findPort();
  const url = `http://127.0.0.1:${port}`;
  const files = mkdtempSync(join(tmpdir(), `${prefix}-files-`));
  const shared = {
    BERTH_PREFIX: prefix,
    BERTH_PORT: String(port),
    BERTH_WORKER_PORT: '0',
    BERTH_FILES: files,
    ...env,
  };
  const docker = new Docker();
  const started: Process[] = [];
  const track = (child: Process): Process => {
    started.push(child);
    return child;
  };

  const berth: Berth = {
    url,
    prefix,
    api: undefined as unknown as Process,
    workers: [],
    request: (method, path, body, headers = {}) =>
      request(`${url}${path}`, {
        method,
        headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
    async submit(spec) {
      const { status, body } = await berth.request('POST', '/v1/jobs', spec, { 'idempotency-key': randomUUID() });
      if (status !== 201 && status !== 200) throw new Error(`submit answered ${status}: ${JSON.stringify(body)}`);
      return body as Job;
    },
    async wait(job_id, limit_ms = 90_000) {
      return until(
        `job ${job_id} to end`,
        async () => {
          const { body } = await berth.request('GET', `/v1/jobs/${job_id}?wait=30`);
          return body.finished_at ? (body as Job) : undefined;
        },
        limit_ms,
      );
    },
    async waitForState(job_id, state) {
      return until(
        `job ${job_id} to be ${state}`,
        async () => {
          const { body } = await berth.request('GET', `/v1/jobs/${job_id}`);
          return body.state === state ? (body as Job) : undefined;
        },
        60_000,
      );
    },
    async waitForOutput(job_id, stdout) {
      return until(`job ${job_id} to write`, async () => {
        const { body } = await berth.request('GET', `/v1/jobs/${job_id}`);
        return body.stdout === stdout ? (body as Job) : undefined;
      });
    },
    async startApi() {
      const child = track(startProcess('apps/api/dist/main.js', shared));
      await until(
        'the API to be ready',
        async () => ((await fetch(`${url}/ready`)).ok ? true : undefined),
        READY_MS,
      ).catch((error) => fail(error, child));
      return child;
    },
    async startWorker(more = {}, args = ['--kill']) {
      const child = track(startProcess('apps/worker/dist/main.js', { ...shared, ...more }, args));
      await until(
        'the worker to be ready',
        async () => (child.output().includes('worker ready') ? true : undefined),
        READY_MS,
      ).catch((error) => fail(error, child));
      berth.workers.push(child);
      return child;
    },
    async containers() {
      const filters = JSON.stringify({ label: [`berth.installation=${prefix}`] });
      const found = await docker.listContainers({ all: true, filters });
      return found.map((container) => container.Names[0] ?? container.Id);
    },
    async close() {
      for (const child of [...started].reverse()) child.kill('SIGTERM');
      await Promise.all(started.map((child) => child.ended));
      const left = await berth.containers();
      await removeKeys(prefix);
      rmSync(files, { recursive: true, force: true });
      if (left.length > 0) throw new Error(`containers left behind: ${left.join(', ')}`);
    },
  };

  try {
    await nameInstallation(prefix);
    berth.api = await berth.startApi();
    for (let i = 0; i < workers; i += 1) await berth.startWorker();
  } catch (error) {
    await berth.close().catch(() => undefined);
    throw error;
  }
  return berth;
};

const fail = (error: Error, child: Process): never => {
  throw new Error(`${error.message}\n${child.output().slice(-4_000)}`);
};

/** Its containers are then found by the prefix. */
const nameInstallation = async (prefix: string): Promise<void> => {
  const redis = new Redis(toTarget(process.env.REDIS_URL ?? ''));
  await redis.set(`${prefix}:installation`, prefix);
  redis.disconnect();
};

const removeKeys = async (prefix: string): Promise<void> => {
  const redis = new Redis(toTarget(process.env.REDIS_URL ?? ''));
  for await (const keys of redis.scanStream({ match: `${prefix}:*`, count: 500 })) {
    if (keys.length > 0) await redis.del(...keys);
  }
  redis.disconnect();
};

const toTarget = (url: string): string => url.replace(/^unix:\/\//, '');
