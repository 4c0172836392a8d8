import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  beginEvents,
  collect,
  openTestApi,
  readEvents,
  type SseEvent,
  settleJob,
  startJob,
  type TestApi,
  writeLog,
} from './open-test-api.js';

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi('events');
});
afterAll(() => api.close());

const url = (job_id: string): string => `${api.url}/v1/jobs/${job_id}/events`;

describe('the events of a job', () => {
  it('tell its history with times and meanings', async () => {
    const job_id = await api.submit();
    await settleJob(api.store, await startJob(api.store, job_id), { type: 'failed', cause: 'exit_code', exit_code: 7 });
    const { body } = await api.send('GET', `/v1/jobs/${job_id}/events`);
    expect(
      body.events.map((event: { seq: number; type: string; state: string }) => [event.seq, event.type, event.state]),
    ).toEqual([
      [1, 'submitted', 'pending'],
      [2, 'claimed', 'running'],
      [3, 'started', 'running'],
      [4, 'failed', 'failed'],
    ]);
    for (const event of body.events) {
      expect(event.meaning).toMatch(/\w+/);
      expect(new Date(event.at).toISOString()).toBe(event.at);
    }
    expect(body.events[3].data).toMatchObject({ cause: 'exit_code', exit_code: 7, attempt: 1 });
  });

  it('stream as they happen, and end with the job', async () => {
    const job_id = await api.submit();
    const following = collect(readEvents(url(job_id)));
    await api.send('GET', '/health');
    await settleJob(api.store, await startJob(api.store, job_id));
    const events = await following;
    expect(events.map(({ id, event, data }) => [id, event, data.type ?? data.state])).toEqual([
      ['1', 'event', 'submitted'],
      ['2', 'event', 'claimed'],
      ['3', 'event', 'started'],
      ['4', 'event', 'completed'],
      [undefined, 'end', 'completed'],
    ]);
  });

  it('go on after the last one seen', async () => {
    const job_id = await api.submit();
    const claim = await startJob(api.store, job_id);
    const seen: SseEvent[] = [];
    for await (const event of readEvents(url(job_id))) {
      seen.push(event);
      if (event.data.type === 'claimed') break;
    }
    await settleJob(api.store, claim);
    const rest = await collect(readEvents(url(job_id), seen.at(-1)?.id));
    expect([...seen, ...rest].map(({ data }) => data.type ?? 'end')).toEqual([
      'submitted',
      'claimed',
      'started',
      'completed',
      'end',
    ]);
  });

  it('end at once when the server shuts down, so that clients come back to another one', async () => {
    const other = await openTestApi('events-stop');
    const job_id = await other.submit();
    const piece = { stream: 'stdout' as const, attempt: 1, bytes: Buffer.from('x') };
    await writeLog(other.store, job_id, [piece]);
    const events = await beginEvents(`${other.url}/v1/jobs/${job_id}/events`);
    const logs = await beginEvents(`${other.url}/v1/jobs/${job_id}/logs`);
    const began = performance.now();
    await other.close();
    expect((await events.rest).map(({ data }) => data.type)).toEqual(['claimed']);
    expect(await logs.rest).toEqual([]);
    expect(performance.now() - began).toBeLessThan(20_000);
  });
});
