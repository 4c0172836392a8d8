import { Agent, request } from 'node:http';

export interface Answer {
  status: number;
  body: unknown;
}

export interface Client {
  call(method: string, path: string, body?: unknown): Promise<Answer>;
  close(): void;
}

/** A small HTTP client with connections that are kept. Throws where the server does not answer. */
export const createClient = (port: number): Client => {
  const agent = new Agent({ keepAlive: true, maxSockets: 256 });
  const call: Client['call'] = (method, path, body) =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const headers =
        text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
      const sent = request({ agent, host: '127.0.0.1', port, method, path, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const received = Buffer.concat(chunks).toString();
          resolve({ status: response.statusCode ?? 0, body: received === '' ? null : JSON.parse(received) });
        });
      });
      sent.on('error', reject);
      sent.end(text);
    });
  return { call, close: () => agent.destroy() };
};

/** What the benchmarks read of a job. */
export interface Job {
  job_id: string;
  state: string;
  cause: string | null;
  stdout: string;
  finished_at: string | null;
}

export const submit = async (client: Client, spec: unknown): Promise<string> => {
  const { status, body } = await client.call('POST', '/v1/jobs', spec);
  if (status !== 201) throw new Error(`POST /v1/jobs answered ${status}: ${JSON.stringify(body)}`);
  return (body as Job).job_id;
};

/** Waits for the end by long poll. */
export const waitForEnd = async (client: Client, job_id: string): Promise<Job> => {
  for (;;) {
    const { status, body } = await client.call('GET', `/v1/jobs/${job_id}?wait=60`);
    if (status !== 200) throw new Error(`GET /v1/jobs/${job_id} answered ${status}: ${JSON.stringify(body)}`);
    const job = body as Job;
    if (job.finished_at !== null) return job;
  }
};
