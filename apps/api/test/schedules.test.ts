import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { claimJob, openTestApi, settleJob, type TestApi, until } from './open-test-api.js';

let api: TestApi;
beforeEach(async () => {
  api = await openTestApi('schedules');
});
afterEach(() => api.close());

const JOB = { command: 'true', labels: { from: 'schedule' } };

const make = async (fields: object) => {
  const reply = await api.send('POST', '/v1/schedules', { body: { name: 'nightly', job: JOB, ...fields } });
  expect(reply.status).toBe(201);
  return reply.body;
};

const read = async (id: string) => (await api.send('GET', `/v1/schedules/${id}`)).body;
const listJobs = async () => (await api.send('GET', '/v1/jobs?label=from%3Dschedule')).body.jobs;
const untilJobs = (count: number) => until(`${count} jobs`, async () => (await listJobs()).length >= count);

describe('POST /v1/schedules', () => {
  it('tells the next times, by the wall clock of the time zone', async () => {
    const made = await make({ cron: '30 2 * * *', timezone: 'Asia/Tokyo' });
    expect(made).toMatchObject({
      cron: '30 2 * * *',
      every_seconds: null,
      overlap: 'allow',
      paused: false,
      user: 'local',
    });
    expect(made.next_runs).toHaveLength(5);
    // 02:30 in Tokyo is 17:30 UTC all year round.
    for (const run of made.next_runs) expect(run.slice(11)).toBe('17:30:00.000Z');
  });

  it.each([
    [{}, '$'],
    [{ cron: '* * * * *', every_seconds: 5 }, '$'],
    [{ cron: '61 * * * *' }, '$.cron'],
    [{ cron: 'every day' }, '$.cron'],
    [{ cron: '* * * * *', timezone: 'Mars/Olympus' }, '$.timezone'],
    [{ every_seconds: 0 }, '$.every_seconds'],
    [{ every_seconds: 5, overlap: 'queue' }, '$.overlap'],
    [{ every_seconds: 5, job: { comand: 'true' } }, '$.job'],
    [{ every_seconds: 5, typo: 1 }, '$.typo'],
  ])('refuses %j and says where', async (fields, path) => {
    const reply = await api.send('POST', '/v1/schedules', { body: { name: 'n', job: JOB, ...fields } });
    expect(reply.status).toBe(400);
    expect(reply.body.errors[0].path.startsWith(path)).toBe(true);
    expect((await api.send('GET', '/v1/schedules')).body.schedules).toEqual([]);
  });

  it('refuses a job that no class holds', async () => {
    const reply = await api.send('POST', '/v1/schedules', {
      body: { name: 'n', every_seconds: 5, job: { command: 'true', cpus: 1000 } },
    });
    expect(reply).toMatchObject({ status: 422, body: { code: 'no_class_fits' } });
  });
});

describe('a schedule', () => {
  it('submits its job when it is due, and tells of it', async () => {
    const { schedule_id } = await make({ every_seconds: 1 });
    await untilJobs(2);
    const found = await read(schedule_id);
    expect(found.last_run).toMatchObject({ note: null });
    expect((await listJobs()).map((job: { job_id: string }) => job.job_id)).toContain(found.last_run.job_id);
  });

  it('skips a time while its last job has not ended', async () => {
    const { schedule_id } = await make({ every_seconds: 1, overlap: 'skip' });
    await until(
      'a skipped time',
      async () =>
        (await read(schedule_id)).last_run?.note !== undefined && (await read(schedule_id)).last_run.note !== null,
    );
    expect(await listJobs()).toHaveLength(1);
    const [{ job_id }] = await listJobs();
    await settleJob(api.store, await claimJob(api.store, job_id));
    await untilJobs(2);
  });

  it('replaces its last job', async () => {
    await make({ every_seconds: 1, overlap: 'replace' });
    await untilJobs(3);
    const states = (await listJobs()).map((job: { state: string }) => job.state);
    expect(states.filter((state: string) => state === 'pending').length).toBeLessThanOrEqual(1);
    expect(states.slice(1)).toContain('cancelled');
  });

  it('submits nothing while it is paused, and goes on afterwards', async () => {
    const { schedule_id } = await make({ every_seconds: 1, paused: true });
    expect((await read(schedule_id)).next_runs).toEqual([]);
    const other = await make({ name: 'other', every_seconds: 1 });
    await until('the other one', async () => (await read(other.schedule_id)).last_run !== null);
    expect((await read(schedule_id)).last_run).toBeNull();
    const resumed = await api.send('PATCH', `/v1/schedules/${schedule_id}`, { body: { paused: false } });
    expect(resumed.body.next_runs).toHaveLength(5);
    await until('its own', async () => (await read(schedule_id)).last_run !== null);
  });

  it('loses none of two changes at a time, and what was removed does not come back by one', async () => {
    for (let i = 0; i < 10; i += 1) {
      const { schedule_id } = await make({ cron: '0 0 1 1 *' });
      const path = `/v1/schedules/${schedule_id}`;
      const changes = [{ paused: true }, { overlap: 'skip' }, { name: 'other' }];
      await Promise.all(changes.map((body) => api.send('PATCH', path, { body })));
      expect(await read(schedule_id)).toMatchObject({ paused: true, overlap: 'skip', name: 'other', next_runs: [] });
      await Promise.all([
        api.send('PATCH', path, { body: { paused: false } }),
        api.send('DELETE', path),
        api.send('PATCH', path, { body: { name: 'again' } }),
      ]);
      expect((await api.send('GET', path)).status).toBe(404);
    }
  });

  it('can be changed to other times, and removed', async () => {
    const { schedule_id } = await make({ every_seconds: 3600 });
    const changed = await api.send('PATCH', `/v1/schedules/${schedule_id}`, { body: { cron: '0 0 1 1 *' } });
    expect(changed.body).toMatchObject({ cron: '0 0 1 1 *', every_seconds: null, name: 'nightly' });
    for (const run of changed.body.next_runs) expect(run).toMatch(/-01-01T00:00:00.000Z$/);
    expect((await api.send('DELETE', `/v1/schedules/${schedule_id}`)).status).toBe(204);
    expect((await api.send('GET', `/v1/schedules/${schedule_id}`)).status).toBe(404);
    expect((await api.send('DELETE', `/v1/schedules/${schedule_id}`)).status).toBe(404);
  });

  it('gives one job for a time that is heard twice, on two replicas', async () => {
    const { schedule_id } = await make({ cron: '0 0 1 1 *' });
    const schedule = await api.store.schedules.read(schedule_id);
    const submit = () =>
      api.context.jobs.submit(schedule?.job, { idempotency_key: `schedule ${schedule_id} 1`, user: 'local' });
    const [one, two] = await Promise.all([submit(), submit()]);
    expect(one.job.job_id).toBe(two.job.job_id);
  });
});
