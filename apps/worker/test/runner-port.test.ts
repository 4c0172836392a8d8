import { connect } from 'node:net';
import { AppError } from '@berth/domain';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { closeServer, openServer } from '../src/http.js';
import { createRunnerApp } from '../src/runner-app.js';

const NOTHING = { exit_code: 0, stdout: '', stderr: '', runtime_ms: 0 };

let server: Awaited<ReturnType<typeof openServer>>;
beforeAll(async () => {
  const app = createRunnerApp({
    execute: async ({ command }) => {
      if (command !== 'one too many') return { value: NOTHING };
      throw new AppError('over_quota', 'Submit again later.', { details: { retry_after_seconds: 10 } });
    },
    findRefusal: () => undefined,
    renderMetrics: async () => '',
    metricsType: 'text/plain',
    loopbackOnly: true,
    openWithoutKeys: false,
    verifyKey: async () => ({ kind: 'no_keys' }),
    log: pino({ level: 'silent' }),
  });
  server = await openServer(app, { port: 0, host: '127.0.0.1' });
});
afterAll(() => closeServer(server));

/** The whole answer to these bytes; the server closes the connection. */
const talk = (text: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const address = server.address();
    if (address === null || typeof address === 'string') return reject(new Error('no port'));
    const socket = connect(address.port, '127.0.0.1', () => socket.write(text));
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
  });

const toRequest = (line: string, headers: string[] = [], body = ''): string =>
  [line, 'Host: localhost', 'Connection: close', ...headers, '', body].join('\r\n');

const toExecution = (body: string, length = body.length): string =>
  toRequest('POST /execute HTTP/1.1', ['Content-Type: application/json', `Content-Length: ${length}`], body);

const statusOf = async (text: string): Promise<number> => Number((await talk(text)).split(' ')[1]);

const nest = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);

it.each([
  ['a command', toExecution('{"command":"true"}'), 200],
  ['99 headers', toRequest('GET /health HTTP/1.1', Array(97).fill('A: b')), 200],
  ['1,500 headers', toRequest('GET /health HTTP/1.1', Array(1_500).fill('A: b')), 431],
  ['no version', 'GET /health\r\n\r\n', 400],
  ['a whole URL of another host', toRequest('GET http://example.com/health HTTP/1.1'), 400],
  ['a body nested 5,000 levels deep', toExecution(`{"command":${nest(5_000)}}`), 422],
  ['a body that is nothing but brackets', toExecution('['.repeat(200_000)), 422],
  ['a body nested deep beside its command', toExecution(`{"command":"true","x":${nest(100_000)}}`), 422],
])('%s is answered', async (_name, text, status) => {
  expect(await statusOf(text)).toBe(status);
});

it('a request that does not arrive is 408 after 10 s', async () => {
  const began = performance.now();
  const stalled = [statusOf(toExecution('{"co', 100)), statusOf('GET /health HTTP/1.1\r\nHost: loc')];
  expect(await Promise.all(stalled)).toEqual([408, 408]);
  // Node by itself would wait for a minute, or five.
  expect(performance.now() - began).toBeLessThan(30_000);
}, 60_000);

it('a command beyond its user’s quota of pending jobs is 429, and is told when to come back', async () => {
  const answer = await talk(toExecution('{"command":"one too many"}'));
  expect(answer).toMatch(/^HTTP\/1.1 429 .*^retry-after: 10\r$.*\r\n\r\n\{"detail":"Submit again later\."\}$/ims);
});
