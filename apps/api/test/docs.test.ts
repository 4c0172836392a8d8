import { Validator } from '@seriousme/openapi-schema-validator';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestApi, type TestApi } from './open-test-api.js';

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi('docs');
});
afterAll(() => api.close());

describe('the contract', () => {
  it('is a valid OpenAPI 3.1 document', async () => {
    const { body } = await api.send('GET', '/openapi.json');
    const validator = new Validator();
    expect(await validator.validate(body)).toMatchObject({ valid: true });
    expect(validator.version).toBe('3.1');
  });

  it('holds every route of /v1 with its errors', async () => {
    const { body } = await api.send('GET', '/openapi.json');
    const routes = Object.entries<Record<string, { responses: Record<string, unknown> }>>(body.paths).flatMap(
      ([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`),
    );
    expect(routes).toEqual(
      expect.arrayContaining([
        'post /v1/jobs',
        'get /v1/jobs',
        'get /v1/jobs/{id}',
        'post /v1/jobs/{id}/cancel',
        'get /v1/jobs/{id}/logs',
        'get /v1/jobs/{id}/events',
        'post /v1/jobs:batch',
        'get /v1/arrays',
        'get /v1/arrays/{id}',
        'get /v1/arrays/{id}/jobs',
        'post /v1/arrays/{id}/cancel',
        'post /v1/arrays/{id}/rerun',
        'get /v1/nodes',
        'post /v1/nodes/{id}/drain',
        'post /v1/nodes/{id}/resume',
        'get /v1/jobs/{id}/usage',
        'get /v1/classes',
        'get /v1/stats',
        'get /health',
        'get /ready',
        'get /metrics',
      ]),
    );
    expect(Object.keys(body.paths['/v1/jobs'].post.responses)).toEqual([
      '200',
      '201',
      '400',
      '401',
      '413',
      '415',
      '422',
      '503',
    ]);
  });

  it('describes what a submission may hold, and what a list takes', async () => {
    const { body } = await api.send('GET', '/openapi.json');
    const spec = body.components.schemas.JobSpec;
    expect(spec).toMatchObject({ type: 'object', additionalProperties: false, required: ['command'] });
    expect(spec.properties.priority).toMatchObject({ type: 'integer', minimum: 0, maximum: 100, default: 50 });
    expect(Object.values(spec.properties).filter((field) => !(field as { description?: string }).description)).toEqual(
      [],
    );
    const parameters: { name: string; schema: object }[] = body.paths['/v1/jobs'].get.parameters;
    expect(parameters.map(({ name }) => name).sort()).toEqual([
      ...['cause', 'class', 'created_after', 'created_before', 'cursor', 'finished_after', 'finished_before'],
      ...['label', 'limit', 'name', 'node', 'state', 'user'],
    ]);
    expect(parameters.find(({ name }) => name === 'limit')?.schema).toMatchObject({ type: 'integer', default: 50 });
  });
});

describe('the docs page', () => {
  it('loads its files from here alone, and may load no others', async () => {
    const page = await api.send('GET', '/docs');
    expect(page.headers['content-type']).toMatch(/text\/html/);
    expect(page.headers['content-security-policy']).toMatch(/^default-src 'none'; script-src 'self';/);
    const places = [...page.text.matchAll(/(?:src|href)="([^"]*)"/g)].map((match) => match[1] ?? '');
    expect(places).toHaveLength(4);
    for (const place of places.filter((one) => one !== 'data:,')) {
      expect(place).toMatch(/^\/docs\//);
      expect((await api.send('GET', place)).status).toBe(200);
    }
    expect((await api.send('GET', '/docs/start.js')).text).toContain('validatorUrl: null');
  });
});

describe('GET /metrics', () => {
  it('shows the jobs of all replicas and the requests of this one', async () => {
    const job_id = await api.submit();
    await api.send('POST', `/v1/jobs/${job_id}/cancel`);
    const { text, headers } = await api.send('GET', '/metrics');
    expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    const lines = text.split('\n');
    expect(lines).toContain('berth_jobs_submitted_total{class="small"} 1');
    expect(lines).toContain('berth_jobs_finished_total{class="small",state="cancelled",cause="cancelled"} 1');
    expect(lines).toContain('jobs_total 1');
    expect(text).toMatch(
      /berth_http_request_duration_seconds_count\{method="POST",route="\/v1\/jobs",status="201"\} 1/,
    );
    expect(text).toMatch(/route="\/v1\/jobs\/:id\/cancel"/);
    expect(text).not.toContain(job_id);
  });

  it('makes no series of what a client makes up', async () => {
    const count = async () => (await api.send('GET', '/metrics')).text.split('\n').length;
    await api.send('GET', '/nothing/here');
    const before = await count();
    for (let i = 0; i < 20; i++) await api.send('GET', `/nothing/${i}`);
    expect(await count()).toBe(before);
  });
});
