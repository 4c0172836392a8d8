import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FileApi, openFileApi, sha256 } from './open-file-api.js';
import { claimJob, expectProblem, settleJob } from './open-test-api.js';

let api: FileApi;
beforeAll(async () => {
  api = await openFileApi('job-inputs');
});
afterAll(() => api.close());

const GONE = sha256('never uploaded');
const toJob = (...ids: string[]) => ({
  command: 'true',
  inputs: ids.map((file_id, i) => ({ file_id, path: `in/${i}` })),
});
const upload = async (text: string): Promise<string> => (await api.put(text)).body.file_id as string;
const post = (path: string, body: object) => api.send('POST', path, { body });
const remove = (file_id: string) => api.send('DELETE', `/v1/files/${file_id}`);

describe('the inputs of a job', () => {
  it('must be there when it is submitted: each that is not is named', async () => {
    const there = await upload('there');
    const reply = await post('/v1/jobs', toJob(there, GONE, there, GONE));
    expectProblem(reply);
    expect(reply).toMatchObject({
      status: 422,
      body: {
        code: 'input_not_found',
        errors: [{ path: '$.inputs[1].file_id' }, { path: '$.inputs[3].file_id' }],
      },
    });
  });

  it('must be there for an entry of a batch, an array and a schedule too', async () => {
    const there = await upload('there');
    const batch = await post('/v1/jobs:batch', { jobs: [toJob(there), toJob(GONE)] });
    expect(JSON.stringify(batch.body)).toMatch(/"accepted":1|"job_id"/);
    expect(JSON.stringify(batch.body)).toContain('input_not_found');
    const array = { ...toJob(GONE), array: { size: 3 } };
    expect(await post('/v1/jobs', array)).toMatchObject({ status: 422, body: { code: 'input_not_found' } });
    const schedule = { name: 's', every_seconds: 3600, job: toJob(GONE) };
    expect(await post('/v1/schedules', schedule)).toMatchObject({ status: 422, body: { code: 'input_not_found' } });
  });

  it('stay for as long as it has not ended, and no longer', async () => {
    const file_id = await upload('needed');
    const { job_id } = (await post('/v1/jobs', toJob(file_id))).body as { job_id: string };
    expect((await remove(file_id)).status).toBe(409);
    const claim = await claimJob(api.store, job_id);
    expect((await remove(file_id)).status).toBe(409);
    await settleJob(api.store, claim);
    expect((await remove(file_id)).status).toBe(204);
    expect(await post(`/v1/jobs/${job_id}/requeue`, {})).toMatchObject({
      status: 422,
      body: { code: 'input_not_found' },
    });
  });

  it('are looked at once for an Idempotency-Key: its job and its array are there when they have gone', async () => {
    const file_id = await upload('gone by then');
    const send = (key: string, body: object) =>
      api.send('POST', '/v1/jobs', { body, headers: { 'idempotency-key': key } });
    const [job, array] = [toJob(file_id), { ...toJob(file_id), array: { size: 1 } }];
    const { job_id } = (await send('job', job)).body as { job_id: string };
    const { array_id } = (await send('array', array)).body as { array_id: string };
    await settleJob(api.store, await claimJob(api.store, job_id));
    await post(`/v1/arrays/${array_id}/cancel`, {});
    expect((await remove(file_id)).status).toBe(204);
    expect(await send('job', job)).toMatchObject({ status: 200, body: { job_id, state: 'completed' } });
    expect(await send('array', array)).toMatchObject({ status: 200, body: { array_id } });
    expect((await send('another', job)).status).toBe(422);
  });

  it('of one that was refused can be removed at once', async () => {
    const file_id = await upload('refused');
    await api.store.quotas.set({ user: 'local' }, { max_pending: 0 });
    expect((await post('/v1/jobs', toJob(file_id))).status).toBe(429);
    expect((await post('/v1/jobs', { ...toJob(file_id), array: { size: 2 } })).status).toBe(429);
    await api.store.quotas.remove({ user: 'local' });
    expect((await remove(file_id)).status).toBe(204);
  });

  it('stay for an array until its last index has ended', async () => {
    const file_id = await upload('needed by an array');
    const made = await post('/v1/jobs', { ...toJob(file_id), array: { size: 2 } });
    expect(made.status).toBe(201);
    expect((await remove(file_id)).status).toBe(409);
    const { array_id } = made.body as { array_id: string };
    await post(`/v1/arrays/${array_id}/cancel`, {});
    expect((await remove(file_id)).status).toBe(204);
    expect(await post(`/v1/arrays/${array_id}/rerun`, {})).toMatchObject({ status: 422 });
  });
});
