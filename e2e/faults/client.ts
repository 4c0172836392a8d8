import { randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { until } from '../harness.js';
import type { Program } from './program.js';

export interface Api extends Program {
  url: string;
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
  message: string | null;
  stdout: string;
  stderr: string;
  attempts: (Record<string, unknown> & { attempt: number; epoch: number; cause: string | null })[];
};

interface AskOptions {
  /** The API replica to ask. Default: each in turn. */
  api?: number;
  headers?: Record<string, string>;
  /** Default: 10 s. */
  limit_ms?: number;
}

/** What a user of the world's API replicas does. Every id that was answered 2xx is kept in a file for `verify --accepted`. */
export interface Client {
  /** Throws where no answer came: nobody knows then whether it was done. */
  request(method: string, path: string, body?: unknown, options?: AskOptions): Promise<Reply>;
  /** Whatever the answer is. */
  trySubmit(spec: object, options?: AskOptions & { key?: string }): Promise<Reply>;
  /** A broker that is away for a moment is waited for, under one key. Throws where it was not accepted. */
  submit(spec: object, options?: AskOptions & { key?: string }): Promise<Job>;
  /** The same way. Throws where there is no such job. */
  cancel(job_id: string): Promise<void>;
  job(job_id: string): Promise<Job>;
  /** Until the job has ended; asks whichever replica answers. */
  wait(job_id: string, limit_ms?: number): Promise<Job>;
  waitForState(job_id: string, state: string, limit_ms?: number): Promise<Job>;
  /** Writes down the states that the replicas show, asked in turn, until the jobs have ended or `stop` is called. */
  observe(...job_ids: string[]): { stop(): Promise<void> };
}

const LOOK_MS = 25;

/** An API that has no answer of its broker within a second and a half says so. */
const untilAvailable = (ask: () => Promise<Reply>): Promise<Reply> =>
  until('an answer', () => ask().then((reply) => (reply.status === 503 ? undefined : reply)));

export const createClient = (apis: Api[], files: { accepted: string; observed: string }): Client => {
  let turn = 0;
  const pickApi = (wanted: number | undefined): Api => {
    const alive = apis.filter((api) => api.alive);
    turn += 1;
    const api = wanted === undefined ? (alive[turn % alive.length] ?? apis[0]) : apis[wanted];
    if (api === undefined) throw new Error('the world has no such API');
    return api;
  };

  const client: Client = {
    async request(method, path, body, { api, headers = {}, limit_ms = 10_000 } = {}) {
      const json = body === undefined ? {} : { 'content-type': 'application/json' };
      const response = await fetch(`${pickApi(api).url}${path}`, {
        method,
        headers: { ...json, ...headers },
        signal: AbortSignal.timeout(limit_ms),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      const isJson = /json/.test(response.headers.get('content-type') ?? '');
      return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : { text } };
    },
    async trySubmit(spec, { key, headers = {}, ...options } = {}) {
      const named = key === undefined ? headers : { ...headers, 'idempotency-key': key };
      const reply = await client.request('POST', '/v1/jobs', spec, { ...options, headers: named });
      if (reply.status >= 200 && reply.status < 300) appendFileSync(files.accepted, `${reply.body.job_id}\n`);
      return reply;
    },
    async submit(spec, options) {
      const keyed = { key: randomUUID(), ...options };
      const { status, body } = await untilAvailable(() => client.trySubmit(spec, keyed));
      if (status < 200 || status >= 300) throw new Error(`submit answered ${status}: ${JSON.stringify(body)}`);
      return body as Job;
    },
    async cancel(job_id) {
      const { status } = await untilAvailable(() => client.request('POST', `/v1/jobs/${job_id}/cancel`));
      if (status !== 200 && status !== 409) throw new Error(`a cancel answered ${status}`);
    },
    async job(job_id) {
      const { status, body } = await client.request('GET', `/v1/jobs/${job_id}`);
      if (status !== 200) throw new Error(`job ${job_id} answered ${status}: ${JSON.stringify(body)}`);
      return body as Job;
    },
    wait: (job_id, limit_ms = 90_000) =>
      until(
        `job ${job_id} to end`,
        () => client.job(job_id).then((job) => (job.finished_at ? job : undefined)),
        limit_ms,
      ),
    waitForState: (job_id, state, limit_ms = 60_000) =>
      until(
        `job ${job_id} to be ${state}`,
        () => client.job(job_id).then((job) => (job.state === state ? job : undefined)),
        limit_ms,
      ),
    observe(...job_ids) {
      let stopped = false;
      const watch = async (job_id: string) => {
        while (!stopped) {
          const job = await client.job(job_id).catch(() => undefined);
          if (job) appendFileSync(files.observed, `${job_id} ${job.state}\n`);
          if (job?.finished_at) return;
          await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
        }
      };
      const watching = Promise.all(job_ids.map(watch));
      return {
        stop: async () => {
          stopped = true;
          await watching;
        },
      };
    },
  };
  return client;
};
