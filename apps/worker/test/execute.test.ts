import { once } from 'node:events';
import { createServer } from 'node:net';
import { openRedis } from '@berth/store';
import Docker from 'dockerode';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { WorkerContext } from '../src/context.js';
import { serveWorkerHttp } from '../src/http.js';
import { openCuttableBroker } from './cuttable-broker.js';
import { IMAGE, openRig, type Rig, untilWritten } from './open-rig.js';

const findPort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
};

interface Reply {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  body: any;
}

/** A real worker on the real engine, with its port open; `cpus` holds twice as many commands. */
const openRunner = async (rig: Rig, { cpus = 1, env = {} }: { cpus?: number; env?: Record<string, string> } = {}) => {
  const port = await findPort();
  const size = { BERTH_CPUS: String(cpus), BERTH_MEMORY_MB: '2048', BERTH_NODE: 'runner-node' };
  const { context, worker, stop } = await rig.openWorker({}, { BERTH_WORKER_PORT: String(port), ...size, ...env });
  const http = await serveWorkerHttp(context, worker);
  onTestFinished(async () => {
    await http.close();
    await stop();
  });
  const send = async (path: string, init: RequestInit = {}): Promise<Reply> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.startsWith('application/json');
    return { status: response.status, body: isJson ? JSON.parse(text) : text };
  };
  const execute = (body: unknown, signal?: AbortSignal): Promise<Reply> =>
    send('/execute', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
      ...(signal ? { signal } : {}),
    });
  return { context, worker, send, execute, port };
};

const readJobs = async (rig: Rig) => (await rig.store.list.list({}, 100)).jobs;

describe("the runner's format, row by row", () => {
  it('runs commands and tells how they ended', async () => {
    const rig = openRig('execute');
    const { execute, send } = await openRunner(rig);
    const runtime_ms = expect.any(Number);
    const rows: [object, object][] = [
      [
        { command: 'echo hi', timeout: 30 },
        { exit_code: 0, stdout: 'hi\n', stderr: '', runtime_ms },
      ],
      [{ command: 'echo out; echo err >&2; exit 3' }, { exit_code: 3, stdout: 'out\n', stderr: 'err\n', runtime_ms }],
      [{ command: 'printf "\\377"' }, { exit_code: 0, stdout: '\uFFFD', stderr: '', runtime_ms }],
      [
        { command: 'echo begun; sleep 60', timeout: 5 },
        { exit_code: -1, stdout: 'begun\n', stderr: 'Command timed out after 5 seconds\n', runtime_ms },
      ],
    ];
    for (const [request, expected] of rows) {
      const reply = await execute(request);
      expect([reply.status, reply.body]).toEqual([200, expected]);
      expect(Object.keys(reply.body)).toEqual(['exit_code', 'stdout', 'stderr', 'runtime_ms']);
    }
    const jobs = await readJobs(rig);
    expect(jobs.map(({ format, state, spec }) => [format, state, spec.network])).toEqual([
      ['coordinator', 'failed', 'egress'],
      ['coordinator', 'completed', 'egress'],
      ['coordinator', 'failed', 'egress'],
      ['coordinator', 'completed', 'egress'],
    ]);
    expect((await send('/health')).body).toEqual({ status: 'healthy', service: 'runner' });
    const { body: metrics } = await send('/metrics');
    expect(metrics).toMatch(/^executions_total 4$/m);
    expect(metrics).toMatch(/^executions_success_total 2$/m);
    expect(metrics).toMatch(/^executions_failed_total 2$/m);
  });

  it('refuses what it refused, and answers nobody else by name', async () => {
    const rig = openRig('execute');
    const { execute, send, port } = await openRunner(rig);
    const rows: [unknown, number, object][] = [
      [{ command: '  ' }, 400, { detail: 'Command cannot be empty' }],
      [{}, 422, { detail: [{ type: 'missing', loc: ['body', 'command'], msg: 'Field required', input: {} }] }],
      [
        { command: 'true', timeout: 301 },
        422,
        {
          detail: [
            {
              type: 'less_than_equal',
              loc: ['body', 'timeout'],
              msg: 'Input should be less than or equal to 300',
              input: 301,
              ctx: { le: 300 },
            },
          ],
        },
      ],
      [
        '{"command": "true",}',
        422,
        {
          detail: [
            {
              type: 'json_invalid',
              loc: ['body', 19],
              msg: 'JSON decode error',
              input: {},
              ctx: { error: 'Expecting valid JSON' },
            },
          ],
        },
      ],
      ['x'.repeat(300_000), 413, { detail: 'The body is larger than 256 KiB' }],
    ];
    for (const [request, status, body] of rows) expect(await execute(request)).toEqual({ status, body });

    const nul = await execute('{"command": "a\\u0000b"}');
    expect([nul.status, nul.body.detail[0].loc]).toEqual([422, ['body', 'command']]);
    const form = await send('/execute', { method: 'POST', body: '{"command":"true"}' });
    expect([form.status, form.body.detail[0].type]).toEqual([422, 'model_attributes_type']);
    expect(await send('/execute')).toEqual({ status: 405, body: { detail: 'Method Not Allowed' } });
    expect(await send('/nothing')).toEqual({ status: 404, body: { detail: 'Not Found' } });
    expect(await getAs(port, 'evil.example')).toBe(421);
    expect(await getAs(port, `localhost:${port}`)).toBe(200);
    expect(await readJobs(rig)).toEqual([]);
  });
});

/** The status of a request under another name; `fetch` sends no Host of ours. */
const getAs = async (port: number, host: string): Promise<number> => {
  const { request } = await import('node:http');
  const sent = request({ port, host: '127.0.0.1', path: '/health', headers: { host } }).end();
  const [response] = await once(sent, 'response');
  response.resume();
  return response.statusCode;
};

const UNTIL_TOLD = 'trap "exit 0" USR1; echo ready; while :; do sleep 0.1; done';
const tellToEnd = async (rig: Rig, { runtime }: WorkerContext, job_id: string) => {
  await untilWritten(rig, job_id, 'ready');
  const [found] = await runtime.list(job_id);
  await new Docker().getContainer(found?.id ?? '').kill({ signal: 'SIGUSR1' });
};

describe('several callers', () => {
  it('are served at the same time', async () => {
    const rig = openRig('execute');
    const { execute, context } = await openRunner(rig);
    const running = [execute({ command: UNTIL_TOLD }), execute({ command: UNTIL_TOLD })];
    await vi.waitFor(
      async () => expect((await readJobs(rig)).map(({ state }) => state)).toEqual(['running', 'running']),
      60_000,
    );
    for (const { job_id } of await readJobs(rig)) await tellToEnd(rig, context, job_id);
    expect((await Promise.all(running)).map(({ body }) => body.exit_code)).toEqual([0, 0]);
  });

  it('wait for room, and never overbook the machine', async () => {
    const rig = openRig('execute');
    const { execute, context } = await openRunner(rig, { cpus: 0.5 });
    let most = 0;
    const timer = setInterval(async () => {
      const { centicpus } = await rig.store.workers.readReserved(context.engine.id);
      most = Math.max(most, centicpus);
    }, 20);
    const replies = await Promise.all(
      Array.from({ length: 4 }, (_, i) => execute({ command: `echo ${i}; sleep 0.2` })),
    );
    clearInterval(timer);
    expect(replies.map(({ body }) => body.stdout)).toEqual(['0\n', '1\n', '2\n', '3\n']);
    expect(most).toBe(50);
  });

  it('take a command along when they go away before it has begun, and not after', async () => {
    const rig = openRig('execute');
    const { execute, context } = await openRunner(rig, { cpus: 0.5 });
    const [first, second] = [new AbortController(), new AbortController()];
    const running = execute({ command: UNTIL_TOLD }, first.signal).catch(() => 'gone');
    await vi.waitFor(async () => expect((await readJobs(rig)).map((job) => job.state)).toEqual(['running']), 60_000);
    const waiting = execute({ command: 'echo never' }, second.signal).catch(() => 'gone');
    await vi.waitFor(async () => expect(await readJobs(rig)).toHaveLength(2), 60_000);
    second.abort();
    first.abort();
    expect(await Promise.all([running, waiting])).toEqual(['gone', 'gone']);
    const [dropped, kept] = await readJobs(rig);
    await rig.untilState(dropped?.job_id ?? '', 'cancelled');
    await tellToEnd(rig, context, kept?.job_id ?? '');
    await rig.untilState(kept?.job_id ?? '', 'completed');
    expect((await rig.store.jobs.read(dropped?.job_id ?? ''))?.epoch).toBe(0);
  });
});

describe('a runner whose broker is away', () => {
  it('says so soon, and runs commands again when it is back', async () => {
    const broker = await openCuttableBroker();
    const rig = openRig('execute');
    const { execute } = await openRunner(rig, { env: { REDIS_URL: broker.url } });
    await broker.cut();
    const began = performance.now();
    const reply = await execute({ command: 'true' });
    expect(reply).toEqual({ status: 503, body: { detail: 'Redis does not answer. Try again in a few seconds.' } });
    expect(performance.now() - began).toBeLessThan(10_000);
    await broker.mend();
    await vi.waitFor(async () => expect((await execute({ command: 'true' })).status).toBe(200), 60_000);
  });
});

describe("a job of the workload runner's format", () => {
  it('has its lines in its list, whole and newest first, and is told who it is', async () => {
    const rig = openRig('execute');
    await openRunner(rig);
    const redis = openRedis(process.env.REDIS_URL ?? '', 'steady');
    onTestFinished(() => redis.disconnect());
    const script = 'printf a; printf "b c\\n"; echo "$JOB_ID on $EXECUTOR_IP"; printf "no end"';
    const job_id = await rig.submit({ command: ['/bin/sh', '-c', script] }, 'workload');
    onTestFinished(async () => void (await redis.del(`job_logs:${job_id}`)));
    await rig.untilState(job_id, 'completed');
    const lines = await redis.lrange(`job_logs:${job_id}`, 0, -1);
    expect(lines.map((line) => line.replace(/^\[\d{4}-\d\d-\d\dT[\d:.]+Z\] /, ''))).toEqual([
      'no end',
      `${job_id} on runner-node`,
      'ab c',
    ]);
    expect(await redis.ttl(`job_logs:${job_id}`)).toBeGreaterThan(86_000);
  });

  it("puts its command behind the image's entrypoint", async () => {
    const docker = new Docker();
    const made = await docker.createContainer({ Image: IMAGE, Cmd: ['true'] });
    const image = 'berth-test-entrypoint:latest';
    await made.commit({ repo: 'berth-test-entrypoint', tag: 'latest', changes: 'ENTRYPOINT ["echo","entry"]' });
    onTestFinished(async () => {
      await made.remove();
      await docker.getImage(image).remove();
    });
    const rig = openRig('execute');
    await openRunner(rig);
    const job_id = await rig.submit({ image, command: ['argument'] }, 'workload');
    await rig.untilState(job_id, 'completed');
    expect((await rig.readLog(job_id)).toString()).toBe('entry argument\n');
  });

  it("runs the image's own command where it names none", async () => {
    const rig = openRig('execute');
    const { context } = await openRunner(rig);
    const create = vi.spyOn(context.attempts.runtime, 'create');
    const job_id = await rig.submit({ command: ['true'] }, 'workload');
    expect(await rig.untilState(job_id, 'completed')).toMatchObject({ exit_code: 0 });
    const spec = { ...(await rig.store.jobs.read(job_id))?.spec, command: [] };
    const { job_id: own } = await rig.store.jobs.accept({
      spec: spec as never,
      ask: { centicpus: 50, memory_mb: 64, gpus: 0 },
      class: 'small',
      format: 'workload',
    });
    // The image's command is a shell, which finds no input and is content.
    expect(await rig.untilState(own, 'completed')).toMatchObject({ exit_code: 0, cause: null });
    expect(create.mock.calls.map(([{ argv, keeps_entrypoint }]) => [argv, keeps_entrypoint])).toEqual([
      [['true'], true],
      [[], true],
    ]);
  });
});
