import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectProblem, openTestApi, type TestApi, until } from './open-test-api.js';

/** Bull Board at /dashboard: it shows, and changes nothing. */
describe('the dashboard', () => {
  let api: TestApi;
  let job_id: string;
  let message_id: string;
  const board = '/dashboard/api/queues';
  const hostile = '<img src=x onerror=alert(1)>\u202e\u001b]8;;http://x\u0007';

  const readSmall = async () => {
    const { body } = await api.send('GET', `${board}?activeQueue=small&status=latest&page=1&jobsPerPage=10`);
    return body.queues.find((queue: { name: string }) => queue.name === 'small');
  };

  beforeAll(async () => {
    api = await openTestApi('dashboard');
    job_id = await api.submit({ name: 'greet', command: ['echo', hostile] });
    await until('the message to be in its queue', async () => (await readSmall()).jobs.length === 1);
    message_id = (await readSmall()).jobs[0].id;
  });
  afterAll(() => api?.close());

  test('shows name, image and command as plain text, and links to the job', async () => {
    const { jobs, readOnlyMode } = await readSmall();
    expect(readOnlyMode).toBe(true);
    expect(jobs).toHaveLength(1);
    expect(jobs[0]).toMatchObject({
      name: 'greet · busybox:stable · echo <img src=x onerror=alert(1)> ]8;;http://x ',
      data: { job_id, image: 'busybox:stable', command: 'echo <img src=x onerror=alert(1)> ]8;;http://x ' },
      externalUrl: { displayText: 'Open the job', href: `/v1/jobs/${job_id}` },
    });
    expect((await api.send('GET', `${board}/small/${message_id}`)).body.job.name).toMatch(/^greet · /);
    expect((await api.send('GET', jobs[0].externalUrl.href)).body).toMatchObject({ job_id });
  });

  test('has one queue a class', async () => {
    const { body } = await api.send('GET', board);
    expect(body.queues.map((queue: { name: string }) => queue.name)).toEqual(['small', 'medium', 'large', 'gpu']);
  });

  test.each(['/dashboard', '/dashboard/queue/small', '/dashboard/queue/%3Cscript%3E'])(
    'the page at %s loads nothing from elsewhere',
    async (path) => {
      const { status, headers, text } = await api.send('GET', path);
      expect(status).toBe(200);
      expect(text).toContain('<title>Berth</title>');
      expect(text).not.toMatch(/(href|src)="(https?:)?\/\//);
      expect(text).not.toContain('fonts.googleapis');
      const policy = String(headers['content-security-policy']);
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("script-src 'self';");
      expect(policy).toContain("connect-src 'self';");
      expect(policy).not.toMatch(/https?:|\*/);
      const scripts = [...text.matchAll(/<script[^>]* src="([^"]+)"/g)].map(([, src]) => src);
      expect(scripts.length).toBeGreaterThan(0);
      for (const src of scripts) {
        const script = await api.send('GET', `/dashboard/${src}`);
        expect([script.status, script.headers['content-type']]).toEqual([200, expect.stringMatching(/javascript/)]);
        expect(script.headers['content-security-policy']).toBe(policy);
      }
    },
  );

  test.each([
    ['POST', '/small/add', { name: 'x', data: {}, options: {} }],
    ['PUT', '/small/obliterate', { force: true }],
    ['PUT', '/small/empty', undefined],
    ['PUT', '/small/pause', undefined],
    ['PUT', '/pause', undefined],
    ['PUT', '/small/promote', undefined],
    ['PUT', '/small/retry/failed', undefined],
    ['PUT', '/small/clean/completed', undefined],
    ['PUT', '/small/concurrency', { concurrency: 1 }],
    ['PUT', '/small/rate-limit', { max: 1, duration: 1 }],
    ['PATCH', '/small/:id/update-data', { jobData: {} }],
    ['PATCH', '/small/:id/priority', { priority: 1 }],
    ['PATCH', '/small/:id/delay', { delay: 1 }],
    ['PUT', '/small/:id/retry', undefined],
    ['PUT', '/small/:id/clean', undefined],
    ['PUT', '/small/:id/promote', undefined],
    ['DELETE', '/small', undefined],
  ])('refuses %s %s', async (method, path, body) => {
    const before = await readSmall();
    const reply = await api.send(method, `${board}${path.replace(':id', message_id)}`, body ? { body } : {});
    expectProblem(reply);
    expect(reply).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' }, body: { code: 'method_not_allowed' } });
    expect(await readSmall()).toEqual(before);
  });

  test('refuses to change anything for a form of another site', async () => {
    const headers = { origin: 'http://evil.example', 'content-type': 'application/x-www-form-urlencoded' };
    const reply = await api.send('POST', `${board}/small/add`, { body: 'name=x', headers });
    expect(reply.status).toBe(405);
  });

  test.each([
    '/dashboard/',
    '/dashboard/nothing/here',
    '/dashboard/static/nothing.js',
    '/dashboard/static/../../package.json',
    '/dashboard/static/%2e%2e/%2e%2e/package.json',
    `${board}/nowhere/1`,
    `${board}/small/nobody`,
    `${board}/small/nobody/logs`,
    `${board}?activeQueue=small&status=nonsense&page=-1&jobsPerPage=999999999`,
    `${board}?activeQueue=%25&page=x`,
  ])('answers GET %s without an error of its own', async (path) => {
    const { status, text } = await api.send('GET', path);
    expect(status).toBeLessThan(500);
    expect(text).not.toContain('"workspaces"');
  });
});
