import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findQueues, openTestApi, settleJob, startJob, type TestApi, until } from './open-test-api.js';

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi('cancel');
});
afterAll(() => api.close());

const cancel = (job_id: string, body?: string) =>
  api.send('POST', `/v1/jobs/${job_id}/cancel`, body === undefined ? {} : { body });

describe('POST /v1/jobs/{id}/cancel', () => {
  it('row 85: ends a pending job at once, and answers the same again', async () => {
    const job_id = await api.submit();
    const first = await cancel(job_id);
    const second = await cancel(job_id);
    expect(first.status).toBe(200);
    expect(first.body).toMatchObject({ job_id, state: 'cancelled', cause: 'cancelled', exit_code: null });
    expect(second).toMatchObject({ status: 200, body: first.body });
  });

  it('takes the message of a pending job out of its queue', async () => {
    const job_id = await api.submit();
    await until('the message', async () => (await findQueues(api, job_id)).length === 1);
    await cancel(job_id);
    await until('the message to go', async () => (await findQueues(api, job_id)).length === 0);
  });

  it('asks the worker of a running job, twice is once, and the job ends cancelled', async () => {
    const job_id = await api.submit();
    const claim = await startJob(api.store, job_id);
    expect(await cancel(job_id)).toMatchObject({ status: 200, body: { state: 'running' } });
    expect(await cancel(job_id)).toMatchObject({ status: 200, body: { state: 'running' } });
    expect(await api.store.claims.renew([claim])).toEqual(['cancel']);
    const { body } = await api.send('GET', `/v1/jobs/${job_id}/events`);
    expect(body.events.filter((event: { type: string }) => event.type === 'cancel_requested')).toHaveLength(1);
    await settleJob(api.store, claim);
    expect(await cancel(job_id)).toMatchObject({ status: 200, body: { state: 'cancelled', cause: 'cancelled' } });
  });

  it.each([
    ['completed', {}],
    ['failed', { type: 'failed' as const, cause: 'exit_code', exit_code: 1 }],
  ])('row 85: refuses a %s job with 409 and its state', async (state, settlement) => {
    const job_id = await api.submit();
    await settleJob(api.store, await startJob(api.store, job_id), settlement);
    const reply = await cancel(job_id);
    expect(reply.status).toBe(409);
    expect(reply.body).toMatchObject({ code: 'job_finished', state });
  });

  it('takes {} and refuses options', async () => {
    const job_id = await api.submit();
    expect((await cancel(job_id, '{"force":true}')).status).toBe(400);
    expect((await cancel(job_id, '{}')).status).toBe(200);
  });
});
