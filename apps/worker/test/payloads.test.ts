import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { fromBufferPromise } from 'yauzl';
import type { WorkerContext } from '../src/context.js';
import { serveWorkerHttp } from '../src/http.js';
import { openRig } from './open-rig.js';

const findPort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
};

const readZip = async (response: Response): Promise<Record<string, string>> => {
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/zip']);
  const zip = await fromBufferPromise(Buffer.from(await response.arrayBuffer()));
  const found: Record<string, string> = {};
  for await (const entry of zip.eachEntry()) {
    const chunks: Buffer[] = [];
    for await (const chunk of await zip.openReadStreamPromise(entry)) chunks.push(chunk as Buffer);
    found[entry.fileName] = Buffer.concat(chunks).toString('utf8');
  }
  return found;
};

interface Payload {
  status: string;
}

/** A real worker on the real engine, with its port open. */
const openPort = async (file: string) => {
  const rig = openRig(file);
  const port = await findPort();
  const size = { BERTH_CPUS: '2', BERTH_MEMORY_MB: '2048' };
  const { context, worker, stop } = await rig.openWorker({}, { BERTH_WORKER_PORT: String(port), ...size });
  const http = await serveWorkerHttp(context, worker);
  onTestFinished(async () => {
    await http.close();
    await stop();
  });
  const send = (path: string, init: RequestInit = {}) => fetch(`http://127.0.0.1:${port}${path}`, init);
  const submit = async (files: Record<string, string>, headers: Record<string, string> = {}) => {
    const form = new FormData();
    for (const [name, text] of Object.entries(files)) form.append('file', new Blob([text]), name);
    return send('/submit', { method: 'POST', body: form, headers });
  };
  const stateOf = async (id: number, headers: Record<string, string>): Promise<string> => {
    const response = await send(`/retrieve/${id}`, { headers });
    return response.headers.get('content-type') === 'application/zip'
      ? 'zip'
      : ((await response.json()) as Payload).status;
  };
  const untilState = (id: number, state: string, headers: Record<string, string> = {}) =>
    vi.waitFor(async () => expect(await stateOf(id, headers)).toBe(state), { timeout: 60_000, interval: 50 });
  return { rig, send, submit, untilState, context };
};

/** Objects in the file store, and uploads and jobs that are known. */
const countLeft = async ({ files, store }: WorkerContext): Promise<number[]> => {
  const count = async (all: AsyncIterable<unknown>): Promise<number> => {
    let found = 0;
    for await (const _ of all) found += 1;
    return found;
  };
  const { jobs } = await store.list.list({}, 10);
  return [await count(files.list('')), await count(store.uploads.listAll()), jobs.length];
};

const toPart = (name: string, text: string): string =>
  `--x\r\ncontent-disposition: form-data; name="file"; filename="${name}"\r\n\r\n${text}\r\n`;

describe("what the job orchestrator's server asked of its clients", () => {
  it('files run in a container, and come back as a zip with what they left', async () => {
    const { rig, send, submit, untilState } = await openPort('payloads');
    const response = await submit({ 'run.sh': 'tr a-z A-Z < in.txt > out.txt', 'in.txt': 'hello' });
    const payload = await response.json();
    expect([response.status, payload]).toEqual([
      200,
      { id: 1, input: {}, status: 'Prepared', loc: '', pid: 0, killed: false },
    ]);
    await untilState(1, 'zip');
    expect(await readZip(await send('/retrieve/1'))).toEqual({
      'run.sh': 'tr a-z A-Z < in.txt > out.txt',
      'in.txt': 'hello',
      'out.txt': 'HELLO',
    });
    const [job] = (await rig.store.list.list({ format: 'orchestrator' }, 10)).jobs;
    expect(job).toMatchObject({ state: 'completed', user: 'local', request: { id: 1 } });
  });

  it('one that fails says so, and its files are still to be had', async () => {
    const { send, submit, untilState } = await openPort('payloads');
    await submit({ 'run.sh': 'echo half > out.txt; exit 3' });
    await untilState(1, 'Failed');
    expect((await readZip(await send('/retrieve_partial/1')))['out.txt']).toBe('half\n');
    expect((await send('/kill/1', { method: 'POST' })).status).toBe(409);
  });

  it('one that runs shows what it has written, and ends when it is killed, with all that it started', async () => {
    const { send, submit, untilState } = await openPort('payloads');
    await submit({ 'run.sh': 'echo so far > out.txt; sleep 600 & sleep 600' });
    await untilState(1, 'Running');
    await vi.waitFor(
      async () => expect((await readZip(await send('/retrieve_partial/1')))['out.txt']).toBe('so far\n'),
      {
        timeout: 60_000,
        interval: 100,
      },
    );
    const killed = await send('/kill/1', { method: 'POST' });
    expect([killed.status, await killed.text()]).toEqual([200, '']);
    await untilState(1, 'Killed');
  });

  it('refuses what it cannot do, in its own words', async () => {
    const { send, submit, untilState, context } = await openPort('payloads');
    expect((await submit({ 'other.sh': 'true' })).status).toBe(200);
    await untilState(1, 'Invalid');
    for (const [path, method, status] of [
      ['/retrieve/99', 'GET', 404],
      ['/retrieve_partial/99', 'GET', 404],
      ['/kill/99', 'POST', 404],
      ['/retrieve/x', 'GET', 400],
      ['/submit', 'POST', 400],
    ] as const) {
      const reply = await send(path, { method });
      expect([path, reply.status, ((await reply.json()) as Payload).status]).toEqual([path, status, 'Unknown']);
    }
    expect((await submit({ 'run.sh': 'true' }, { 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    expect(await (await send('/')).json()).toEqual({ message: 'pong' });
    expect(await (await send('/load')).json()).toEqual(expect.any(Number));
    await context.store.apiKeys.create({ user: 'ann', role: 'user', expires_at: null });
    expect((await send('/retrieve/1')).status).toBe(401);
  });

  it('leaves nothing of what is refused: no form, one that is cut in the middle, or one with a bad name', async () => {
    const { send, context } = await openPort('payloads');
    const form = 'multipart/form-data; boundary=x';
    for (const [type, body] of [
      ['application/json', '{}'],
      [form, `${toPart('run.sh', 'true')}${toPart('in.txt', 'half')}`],
      [form, `${toPart('run.sh', 'true')}${toPart('a\tb', '')}--x--\r\n`],
    ] as const) {
      const reply = await send('/submit', { method: 'POST', body, headers: { 'content-type': type } });
      expect([reply.status, await reply.json()]).toMatchObject([400, { id: 0, status: 'Unknown' }]);
      expect(await countLeft(context)).toEqual([0, 0, 0]);
    }
  });

  it("one is its user's, and for any other user as if it were not there", async () => {
    const { send, submit, untilState, context } = await openPort('payloads');
    const makeKey = async (user: string, role: 'user' | 'operator' = 'user') => {
      const { key } = await context.store.apiKeys.create({ user, role, expires_at: null });
      return { authorization: `Bearer ${key}` };
    };
    const [ann, bob, olga] = [await makeKey('ann'), await makeKey('bob'), await makeKey('olga', 'operator')];
    expect((await submit({ 'run.sh': 'echo secret > out.txt; sleep 600' }, ann)).status).toBe(200);
    await untilState(1, 'Running', ann);
    const expectNothingFor = async (headers: Record<string, string>) => {
      for (const [path, method] of [
        ['/retrieve', 'GET'],
        ['/retrieve_partial', 'GET'],
        ['/kill', 'POST'],
      ] as const) {
        const [theirs, nobodys] = [
          await send(`${path}/1`, { method, headers }),
          await send(`${path}/2`, { method, headers }),
        ];
        expect([path, theirs.status, nobodys.status]).toEqual([path, 404, 404]);
        expect(await theirs.json()).toEqual(await nobodys.json());
      }
    };
    await expectNothingFor(bob);
    await untilState(1, 'Running', olga);
    expect((await send('/kill/1', { method: 'POST', headers: ann })).status).toBe(200);
    await untilState(1, 'Killed', ann);
    expect(await readZip(await send('/retrieve_partial/1', { headers: ann }))).toHaveProperty('out.txt');
    await expectNothingFor(bob);
  });
});
