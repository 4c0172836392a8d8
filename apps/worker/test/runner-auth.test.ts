import { UNAUTHORIZED } from '@berth/domain';
import type { KeyVerdict } from '@berth/store';
import { pino } from 'pino';
import { afterEach, expect, it } from 'vitest';
import { closeServer, openServer } from '../src/http.js';
import { createRunnerApp } from '../src/runner-app.js';

type Server = Awaited<ReturnType<typeof openServer>>;
let server: Server | undefined;
afterEach(async () => {
  if (server) await closeServer(server);
});

/** A runner's port on which `good` is alice's key; `made`: there are keys. Returns how to ask, and for whom commands ran. */
const open = async (made: boolean, openWithoutKeys = false) => {
  const users: string[] = [];
  const verifyKey = async (shown: string | undefined): Promise<KeyVerdict> => {
    if (!made) return { kind: 'no_keys' };
    if (shown !== 'good') return { kind: 'invalid' };
    return { kind: 'valid', key_id: 'k', principal: { user: 'alice', role: 'user' } };
  };
  const app = createRunnerApp({
    execute: async (_request, user) => {
      users.push(user);
      return { value: { exit_code: 0, stdout: '', stderr: '', runtime_ms: 0 } };
    },
    renderMetrics: async () => 'metrics',
    metricsType: 'text/plain',
    loopbackOnly: false,
    openWithoutKeys,
    verifyKey,
    findRefusal: () => undefined,
    log: pino({ level: 'silent' }),
  });
  server = await openServer(app, { port: 0, host: '127.0.0.1' });
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const ask = async (headers: Record<string, string> = {}, path = '/execute') => {
    const post = { method: 'POST', body: '{"command":"true"}' };
    const init = path === '/execute' ? post : {};
    const reply = await fetch(`http://127.0.0.1:${port}${path}`, {
      ...init,
      headers: { 'content-type': 'application/json', ...headers },
    });
    return { status: reply.status, text: await reply.text(), challenge: reply.headers.get('www-authenticate') };
  };
  return { ask, users };
};

it('runs commands for the user of the key, and for nobody without one', async () => {
  const { ask, users } = await open(true);
  const refused = { status: 401, text: JSON.stringify({ detail: UNAUTHORIZED }), challenge: 'Bearer realm="berth"' };
  for (const headers of [
    {},
    { authorization: 'Bearer bad' },
    { 'x-api-key': 'bad' },
    { authorization: 'Basic good' },
  ]) {
    expect(await ask(headers)).toEqual(refused);
  }
  expect(users).toEqual([]);
  expect((await ask({ authorization: 'Bearer good' })).status).toBe(200);
  expect((await ask({ 'x-api-key': 'good' })).status).toBe(200);
  expect(users).toEqual(['alice', 'alice']);
  for (const path of ['/health', '/metrics']) expect((await ask({}, path)).status).toBe(200);
});

it('runs them for this machine where there are no keys, and for others only where it was opened to them', async () => {
  const closed = await open(false);
  expect((await closed.ask()).status).toBe(200);
  expect((await closed.ask({ 'x-forwarded-for': '192.0.2.7' })).status).toBe(401);
  expect((await closed.ask({ authorization: 'Bearer bad' })).status).toBe(401);
  expect(closed.users).toEqual(['local']);
  if (server) await closeServer(server);
  const opened = await open(false, true);
  expect((await opened.ask({ 'x-forwarded-for': '192.0.2.7' })).status).toBe(200);
  expect(opened.users).toEqual(['local']);
});
