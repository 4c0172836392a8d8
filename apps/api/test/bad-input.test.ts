import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectProblem, openTestApi, type TestApi } from './open-test-api.js';

let api: TestApi;
let job_id: string;
beforeAll(async () => {
  api = await openTestApi('bad-input');
  job_id = await api.submit();
});
afterAll(() => api.close());

/** Numbers are rows of the bad-input matrix. */
describe('a path', () => {
  it.each([
    [14, 'FROB', '/v1/jobs', 400],
    [15, 'PUT', '/v1/jobs', 405],
    [15, 'DELETE', '/v1/jobs/{id}', 405],
    [15, 'GET', '/v1/jobs/{id}/cancel', 405],
    [15, 'GET', '/v1/jobs:batch', 405],
    [15, 'POST', '/health', 405],
    [15, 'TRACE', '/v1/jobs', 405],
    [20, 'GET', '/v1/jobs/%00', 400],
    [21, 'GET', '/v1/jobs/%ff', 400],
    [21, 'GET', '/v1/jobs/%', 400],
    [22, 'GET', '/v1/jobs/..%2f..%2fetc', 400],
    [22, 'GET', '/v1/jobs/..%5c..%5cetc', 400],
    [24, 'GET', '/v1//jobs', 404],
    [24, 'GET', '/v1/jobs/', 404],
    [24, 'GET', '/V1/jobs', 404],
    [25, 'GET', '/v1/jobs/__proto__', 404],
    [25, 'GET', '/v1/jobs/constructor', 404],
    [25, 'POST', '/v1/jobs/constructor/cancel', 404],
    [25, 'GET', '/v1/jobs/0/logs', 404],
    [25, 'GET', '/v1/jobs/01a203e8-f53f-7020-bbde-f6a317f77f7x/events', 404],
    [26, 'GET', '/v1/jobs/01a203e8-f53f-7020-bbde-f6a317f77f74', 404],
    [26, 'GET', '/v1/jobs/01a203e8-f53f-7020-bbde-f6a317f77f74?wait=1', 404],
    [26, 'GET', '/v1/jobs/01a203e8-f53f-7020-bbde-f6a317f77f74/logs', 404],
    [26, 'GET', '/v1/jobs/01a203e8-f53f-7020-bbde-f6a317f77f74/events', 404],
    [26, 'POST', '/v1/jobs/01a203e8-f53f-7020-bbde-f6a317f77f74/cancel', 404],
    [24, 'GET', '/docs/../package.json', 404],
    [24, 'GET', '/docs/package.json', 404],
    [24, 'GET', '/docs/constructor', 404],
  ])('row %i: %s %s is %i', async (row, method, path, status) => {
    const reply = await api.send(method, path.replace('{id}', job_id));
    expect(reply.status).toBe(status);
    if (row !== 14) expectProblem(reply);
    if (status === 405) expect(reply.headers.allow).toMatch(/GET|POST/);
  });

  it('row 16: X-HTTP-Method-Override changes nothing', async () => {
    const reply = await api.send('GET', '/v1/jobs?limit=1', { headers: { 'x-http-method-override': 'POST' } });
    expect(reply.status).toBe(200);
    expect(reply.body.jobs).toHaveLength(1);
  });

  it('row 17: the body of a GET is ignored', async () => {
    expect((await api.send('GET', '/health', { body: '{"x"' })).status).toBe(200);
  });
});

describe('a query', () => {
  it.each([
    [27, '/v1/jobs?limit=1&limit=2', 'query.limit'],
    [27, '/v1/jobs?state=pending&state=running', 'query.state'],
    [28, '/v1/jobs?limit=0', 'query.limit'],
    [28, '/v1/jobs?limit=-1', 'query.limit'],
    [28, '/v1/jobs?limit=201', 'query.limit'],
    [28, '/v1/jobs?limit=1e9', 'query.limit'],
    [28, '/v1/jobs?limit=999999999999', 'query.limit'],
    [28, '/v1/jobs?limit=NaN', 'query.limit'],
    [28, '/v1/jobs?limit=', 'query.limit'],
    [28, '/v1/jobs?limit=1.5', 'query.limit'],
    [28, '/v1/jobs/{id}?wait=61', 'query.wait'],
    [28, '/v1/jobs/{id}?wait=-1', 'query.wait'],
    [28, '/v1/jobs/{id}/logs?tail=-1', 'query.tail'],
    [28, '/v1/jobs/{id}/logs?tail=100001', 'query.tail'],
    [28, '/v1/jobs/{id}/logs?follow=yes', 'query.follow'],
    [28, '/v1/jobs/{id}/logs?stream=all', 'query.stream'],
    [29, '/v1/jobs?cursor=x', 'query.cursor'],
    [29, '/v1/jobs?cursor=', 'query.cursor'],
    [29, `/v1/jobs?cursor=${Buffer.from('0:x').toString('base64url')}`, 'query.cursor'],
    [30, '/v1/jobs?limt=1', 'query.limt'],
    [30, '/v1/jobs/{id}?x=1', 'query.x'],
    [30, '/health?x', 'query.x'],
    [30, '/v1/jobs?__proto__=1', 'query.__proto__'],
    [30, '/v1/jobs?state=done', 'query.state'],
    [30, '/v1/jobs?label=x', 'query.label'],
    [30, '/v1/jobs?name=', 'query.name'],
    [30, '/v1/jobs?name=%00', 'query.name'],
    [30, '/v1/jobs?name=a%0a', 'query.name'],
    [30, '/v1/jobs?user=a%00', 'query.user'],
    [30, '/v1/jobs?class=%00', 'query.class'],
    [30, '/v1/jobs?node=%00', 'query.node'],
    [30, '/v1/jobs?label=a=%00', 'query.label'],
    [30, '/v1/jobs?cursor=%00', 'query.cursor'],
    [30, '/v1/arrays?user=%00', 'query.user'],
    [30, '/v1/usage?user=%00', 'query.user'],
    [30, '/v1/usage?user=a%7f', 'query.user'],
  ])('row %i: %s is 400 and names %s', async (_row, path, where) => {
    const reply = await api.send('GET', path.replace('{id}', job_id));
    expect(reply.status).toBe(400);
    expectProblem(reply);
    expect(reply.body.errors.map((problem: { path: string }) => problem.path)).toEqual([where]);
  });

  it('row 30: a submission takes no query', async () => {
    const reply = await api.send('POST', '/v1/jobs?dry_run=true', { body: { command: 'true' } });
    expect(reply.status).toBe(400);
  });
});

const deep = (levels: number): string => `{"command":"x","env":${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}}`;

describe('the syntax of a body', () => {
  it.each<[number, string, string | Buffer, Record<string, string>, number]>([
    [32, 'malformed', '{"command":', {}, 400],
    [33, 'empty', '', {}, 400],
    [34, 'null', 'null', {}, 400],
    [34, 'a list', '[]', {}, 400],
    [34, 'a string', '"x"', {}, 400],
    [34, 'a number', '7', {}, 400],
    [35, 'text/plain', '{"command":"x"}', { 'content-type': 'text/plain' }, 415],
    [36, 'application/jsonp', '{"command":"x"}', { 'content-type': 'application/jsonp' }, 415],
    [36, 'utf-16', '{"command":"x"}', { 'content-type': 'application/json; charset=utf-16' }, 415],
    [37, 'gzip', '{"command":"x"}', { 'content-encoding': 'gzip' }, 415],
    [38, 'more than 256 KiB', `{"command":"${'x'.repeat(256 * 1024)}"}`, {}, 413],
    [40, '5,000 levels', deep(5_000), {}, 400],
    [40, '20,000 levels', deep(20_000), {}, 400],
    [42, '1e400', '{"command":"x","cpus":1e400}', {}, 400],
    [43, '2^53 + 1', '{"command":"x","memory_mb":9007199254740993}', {}, 400],
    [44, 'half a character', '{"command":"\\ud800"}', {}, 400],
    [45, 'NUL in a command', '{"command":"a\\u0000b"}', {}, 400],
    [45, 'NUL in a variable', '{"command":"x","env":{"A":"\\u0000"}}', {}, 400],
    [46, 'a byte order mark', '\ufeff{"command":"x"}', {}, 400],
    [46, 'invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]), {}, 400],
    [47, '__proto__', '{"command":"x","__proto__":{"cpus":4}}', {}, 400],
    [47, '__proto__ in env', '{"command":"x","env":{"__proto__":"y"}}', {}, 400],
    [47, 'constructor', '{"command":"x","constructor":{"prototype":{"x":1}}}', {}, 400],
    [48, 'an unknown field', '{"command":"x","comand":"y"}', {}, 400],
  ])('row %i: %s', async (_row, _name, body, headers, status) => {
    const reply = await api.send('POST', '/v1/jobs', { body, headers });
    expect(reply.status).toBe(status);
    expectProblem(reply);
    expect(({} as Record<string, unknown>).x).toBeUndefined();
  });

  it('row 35: no content type at all is 415', async () => {
    const body = Buffer.from('{"command":"x"}');
    const reply = await fetch(`${api.url}/v1/jobs`, { method: 'POST', body });
    expect(reply.status).toBe(415);
  });

  it('row 39: more than 256 KiB in chunks is 413', async () => {
    const chunk = Buffer.alloc(64 * 1024, 0x20);
    async function* chunks() {
      for (let i = 0; i < 6; i++) yield chunk;
    }
    const headers = { 'content-type': 'application/json' };
    const init = { method: 'POST', headers, body: chunks(), duplex: 'half' } as unknown as RequestInit;
    expect((await fetch(`${api.url}/v1/jobs`, init)).status).toBe(413);
  });

  it('takes a chunked body, a charset, and 256 KiB less a little', async () => {
    async function* chunks() {
      yield Buffer.from('{"command":');
      yield Buffer.from('"true"}');
    }
    const headers = { 'content-type': 'application/json; charset=UTF-8' };
    const init = { method: 'POST', headers, body: chunks(), duplex: 'half' } as unknown as RequestInit;
    expect((await fetch(`${api.url}/v1/jobs`, init)).status).toBe(201);
  });

  it('row 41: of a name that stands twice, the last value holds and is shown', async () => {
    const reply = await api.send('POST', '/v1/jobs', { body: '{"command":"first","command":"second"}' });
    expect(reply.body.command).toBe('second');
  });
});
