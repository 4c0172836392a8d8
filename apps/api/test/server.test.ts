import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestApi, type TestApi } from './open-test-api.js';

let api: TestApi;
let open: TestApi;
beforeAll(async () => {
  api = await openTestApi('server');
  open = await openTestApi('server-open', { loopbackOnly: false, openWithoutKeys: true, maxConnections: 5 });
});
afterAll(async () => {
  await api.close();
  await open.close();
});

/** What comes back for these bytes, until the server closes or has answered. */
const talk = (text: string, port = api.port): Promise<string> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    let answer = '';
    const finish = () => {
      socket.destroy();
      resolve(answer);
    };
    socket.on('data', (chunk) => {
      answer += chunk;
      if (/\r\n\r\n/.test(answer)) finish();
    });
    socket.on('error', finish);
    socket.on('close', finish);
  });

const statusOf = async (text: string): Promise<number> => Number((await talk(text)).split(' ')[1]);

const request = (line: string, ...headers: string[]): string =>
  `${[line, 'Host: localhost', ...headers].join('\r\n')}\r\n\r\n`;

const many = (count: number): string[] => Array.from({ length: count }, (_, i) => `a${i}: b`);

describe('the framing of a request', () => {
  it.each([
    [1, 'both lengths', request('POST /v1/jobs HTTP/1.1', 'Content-Length: 3', 'Transfer-Encoding: chunked'), 400],
    [2, 'two lengths', request('POST /v1/jobs HTTP/1.1', 'Content-Length: 3', 'Content-Length: 4'), 400],
    [3, 'a negative length', request('POST /v1/jobs HTTP/1.1', 'Content-Length: -1'), 400],
    [4, 'no Host', 'GET /health HTTP/1.1\r\n\r\n', 400],
    [5, 'a Host with a space', 'GET /health HTTP/1.1\r\nHost: a b\r\n\r\n', 421],
    [5, 'a Host with a path', 'GET /health HTTP/1.1\r\nHost: x/y?z\r\n\r\n', 421],
    [6, 'a folded header', 'GET /health HTTP/1.1\r\nHost: localhost\r\nA: b\r\n c\r\n\r\n', 400],
    [7, 'a URL of 20 KB', request(`GET /${'x'.repeat(20_000)} HTTP/1.1`), 431],
    [7, 'a header of 20 KB', request('GET /health HTTP/1.1', `A: ${'x'.repeat(20_000)}`), 431],
    [8, '1,500 headers', request('GET /health HTTP/1.1', ...many(1_500)), 431],
    [8, '101 headers', request('GET /health HTTP/1.1', ...many(100)), 431],
    [12, 'no version', 'GET /health\r\n\r\n', 400],
    [13, 'a whole URL of another host', request('GET http://example.com/health HTTP/1.1'), 400],
    [14, 'an unknown method', request('FROB /health HTTP/1.1'), 400],
    [18, 'an unknown Expect', request('GET /health HTTP/1.1', 'Expect: foo'), 417],
    [19, 'TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
    [23, 'raw UTF-8 in the path', request('GET /v1/jobs/\u00e9 HTTP/1.1'), 400],
  ])('row %i: %s', async (_row, _name, text, status) => {
    const answered = await statusOf(text);
    // A Host that is no host may be refused as a bad request or as a foreign one.
    expect(status === 421 ? [400, 421] : [status]).toContain(answered);
  });

  it('row 8: takes 99 headers', async () => {
    expect(await statusOf(request('GET /health HTTP/1.1', ...many(98)))).toBe(200);
  });

  it('rows 9 and 10: a request that does not arrive is 408 after 10 s', async () => {
    const began = performance.now();
    const stalled = [
      statusOf(`${request('POST /v1/jobs HTTP/1.1', 'Content-Type: application/json', 'Content-Length: 100')}{"co`),
      statusOf('GET /health HTTP/1.1\r\nHost: loc'),
    ];
    expect(await Promise.all(stalled)).toEqual([408, 408]);
    // Node by itself would wait for a minute, or five.
    expect(performance.now() - began).toBeLessThan(30_000);
  }, 240_000);

  it('row 11: holds no more connections than it may', async () => {
    const sockets = Array.from({ length: 5 }, () => connect(open.port, '127.0.0.1'));
    await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
    expect(await talk(request('GET /health HTTP/1.1'), open.port)).toBe('');
    for (const socket of sockets) socket.destroy();
  });
});

describe('a Host that is not ours', () => {
  const ask = (host: string, port = api.port) => talk(`GET /v1/classes HTTP/1.1\r\nHost: ${host}\r\n\r\n`, port);

  it.each(['localhost', 'LOCALHOST:8000', '127.0.0.1', '127.0.0.1:1', '[::1]:8000', 'berth.localhost'])(
    'is not %s',
    async (host) => {
      expect(await ask(host)).toMatch(/^HTTP\/1\.1 200/);
    },
  );

  it.each(['example.com', 'localhost.example.com', '10.0.0.1', '127.0.0.1.nip.io', 'xlocalhost', '0.0.0.0'])(
    'may be %s, whose name somebody pointed here',
    async (host) => {
      expect(await ask(host)).toMatch(/^HTTP\/1\.1 421/);
    },
  );

  it('is not looked for where the operator opened the API', async () => {
    expect(await ask('berth.example.com', open.port)).toMatch(/^HTTP\/1\.1 200/);
  });
});
