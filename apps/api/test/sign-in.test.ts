import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestApi, type Reply, type TestApi } from './open-test-api.js';
import { openUser, type TestUser, toSeen } from './open-users.js';

let api: TestApi;
let operator: TestUser;
beforeAll(async () => {
  api = await openTestApi('sign-in');
  operator = await openUser(api, 'root', 'operator');
});
afterAll(() => api?.close());

const PAGE = '/dashboard/login';
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

const signIn = (key: string, headers: Record<string, string> = {}): Promise<Reply> =>
  api.send('POST', PAGE, { body: new URLSearchParams({ key }).toString(), headers: { ...FORM, ...headers } });

const toSetCookie = ({ headers }: Reply): string | undefined => [headers['set-cookie']].flat()[0];
const toCookie = (reply: Reply): string => toSetCookie(reply)?.split(';')[0] ?? '';

const statusOf = async (path: string, cookie: string, method = 'GET'): Promise<number> =>
  (await api.send(method, path, { headers: { cookie } })).status;

/** A cookie as ours would be, if it said this. */
const forge = async (value: string, secret?: string): Promise<string> => {
  const signed = createHmac('sha256', secret ?? (await api.store.apiKeys.readCookieSecret())).update(value);
  return `berth_session=${encodeURIComponent(`${value}.${signed.digest('base64')}`)}`;
};

describe('the sign-in of the dashboard', () => {
  it('is where a browser without a key is led, and loads and runs nothing', async () => {
    const led = await api.send('GET', '/dashboard', { headers: { accept: 'text/html,*/*' } });
    expect(led).toMatchObject({ status: 303, headers: { location: PAGE } });
    const page = await api.send('GET', PAGE);
    expect(page).toMatchObject({ status: 200, headers: { 'cache-control': 'no-store' } });
    expect(page.headers['content-security-policy']).toMatch(
      /^default-src 'none'.*form-action 'self'; frame-ancestors 'none'$/,
    );
    expect(page.text).not.toMatch(/<script|https?:|src=/);
  });

  it('takes the key of an operator once, for a cookie that no page can read and no other site can send', async () => {
    const reply = await signIn(operator.key, { 'sec-fetch-site': 'same-origin' });
    expect(reply).toMatchObject({ status: 303, headers: { location: '/dashboard' } });
    expect(toSetCookie(reply)).toMatch(/^berth_session=[^;]+; Max-Age=43200; Path=\/; HttpOnly; SameSite=Strict$/);
    expect(toSetCookie(reply)).not.toContain(operator.key.slice(15));
    const cookie = toCookie(reply);
    expect(await statusOf('/dashboard', cookie)).toBe(200);
    expect(await statusOf('/dashboard/api/queues', cookie)).toBe(200);
    expect(await statusOf('/v1/jobs', cookie)).toBe(200);
    expect(await statusOf('/dashboard', '')).toBe(401);
    const behindTls = await signIn(operator.key, { 'x-forwarded-proto': 'https' });
    expect(toSetCookie(behindTls)).toMatch(/; Secure/);
  });

  it('gives no cookie for anything else', async () => {
    const user = await openUser(api, 'alice');
    for (const [reply, status] of [
      [await signIn(user.key), 403],
      [await signIn('nonsense'), 401],
      [await signIn(''), 401],
      [await signIn(`${operator.key.slice(0, -4)}AAAA`), 401],
      [await signIn(operator.key, { 'sec-fetch-site': 'cross-site' }), 403],
      [await signIn(operator.key, { 'content-type': 'text/plain' }), 415],
      [await signIn(`${operator.key}${' '.repeat(10_000)}`), 413],
    ] as const) {
      expect([reply.status, toSetCookie(reply)]).toEqual([status, undefined]);
    }
    const hostile = await signIn('"><script>alert(1)</script>');
    expect(hostile.text).not.toContain('<script>');
    expect((await user.send('GET', '/dashboard')).status).toBe(403);
  });

  it('signs out', async () => {
    const reply = await api.send('POST', PAGE, { body: 'sign_out=1', headers: FORM });
    expect(reply.status).toBe(200);
    expect(toSetCookie(reply)).toMatch(/^berth_session=; Max-Age=0; Path=\//);
  });
});

describe('its cookie', () => {
  const later = () => Date.now() + 60_000;

  it('only counts for reading', async () => {
    const cookie = toCookie(await signIn(operator.key));
    const job_id = await operator.submit();
    for (const [method, path] of [
      ['POST', '/v1/jobs'],
      ['POST', `/v1/jobs/${job_id}/cancel`],
      ['DELETE', `/jobs/${job_id}`],
      ['POST', '/cleanup'],
      ['PUT', '/dashboard/api/queues/small/pause'],
    ] as const) {
      expect([path, await statusOf(path, cookie, method)]).toEqual([path, 401]);
    }
  });

  it('is only taken as it was given, in its time', async () => {
    const good = await forge(`${operator.key_id}.${later()}`);
    expect(await statusOf('/dashboard', good)).toBe(200);
    const refused = toSeen(await api.send('GET', '/dashboard'));
    for (const bad of [
      await forge(`${operator.key_id}.${Date.now() - 1}`),
      await forge(`${operator.key_id}.${later()}`, 'another secret'),
      await forge(`${operator.key_id}.${later()}`, ''),
      await forge(`nobodys1.${later()}`),
      await forge('made.99999999999999'),
      await forge(operator.key_id),
      good.replace(operator.key_id, 'nobodys1'),
      good.slice(0, -12),
      `berth_session=${operator.key_id}.${later()}`,
    ]) {
      expect(toSeen(await api.send('GET', '/dashboard', { headers: { cookie: bad } })), bad).toEqual(refused);
    }
  });

  it('dies with its key', async () => {
    const second = await openUser(api, 'second', 'operator');
    const cookie = toCookie(await signIn(second.key));
    expect(await statusOf('/dashboard', cookie)).toBe(200);
    await api.store.apiKeys.revoke(second.key_id);
    expect(await statusOf('/dashboard', cookie)).toBe(401);
    expect(await statusOf('/v1/jobs', cookie)).toBe(401);
  });
});
