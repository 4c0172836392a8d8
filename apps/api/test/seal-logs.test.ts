import { FilesUnavailable } from '@berth/store';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { startLogSealing } from '../src/seal-logs.js';
import { openWriter, toPiece } from './log-writer.js';
import { openTestApi, settleJob, type TestApi, until } from './open-test-api.js';

let api: TestApi;
beforeAll(async () => {
  api = await openTestApi('seal-logs');
});
afterAll(() => api.close());

const startTwo = () => {
  const log = pino({ level: 'silent' });
  const both = [1, 2].map(() => startLogSealing({ logs: api.store.logs, log, ended_for_ms: 0 }));
  onTestFinished(async () => void (await Promise.all(both.map((one) => one.close()))));
};

it('what is left of logs when their jobs have ended goes into the file store, whoever ended them, and reads as before', async () => {
  const { logs } = api.store;
  const ended: string[] = [];
  for (let i = 0; i < 5; i += 1) {
    const writer = await openWriter(api);
    await writer.write(toPiece(`output ${i}\n`));
    if (i % 2) await writer.seal();
    await writer.write(toPiece('more\n', 'stderr'));
    await settleJob(api.store, writer.claim(), i === 4 ? { type: 'failed', cause: 'exit_code', exit_code: 1 } : {});
    ended.push(writer.job_id);
  }
  const running = await openWriter(api);
  await running.write(toPiece('still here'));
  startTwo();
  const sealed = async (id: string) => (await logs.listSegments(id)).at(-1)?.last === '1-2';
  await until('all to be sealed', async () => (await Promise.all(ended.map(sealed))).every(Boolean), 20_000);
  for (const [i, id] of ended.entries()) {
    expect((await api.send('GET', `/v1/jobs/${id}/logs`)).text).toBe(`output ${i}\nmore\n`);
    expect((await api.send('GET', `/v1/jobs/${id}`)).body).toMatchObject({ stdout: `output ${i}\n`, stderr: 'more\n' });
    expect(await logs.seal(id)).toEqual({ kind: 'empty' });
  }
  expect(await logs.listSegments(running.job_id)).toEqual([]);
});

it('a file store that is away hides no state of a job, and gives a 503 where the output is asked for', async () => {
  const writer = await openWriter(api);
  await writer.write(toPiece('hello\n'));
  await settleJob(api.store, writer.claim());
  await api.store.logs.seal(writer.job_id);
  const { read } = api.context.files;
  api.context.files.read = async () => {
    throw new FilesUnavailable('away');
  };
  onTestFinished(() => void Object.assign(api.context.files, { read }));
  expect(await api.send('GET', `/v1/jobs/${writer.job_id}`)).toMatchObject({
    status: 200,
    body: { state: 'completed', stdout: '', stdout_truncated: true },
  });
  expect((await api.send('GET', `/v1/jobs/${writer.job_id}/logs?tail=1`)).status).toBe(503);
  Object.assign(api.context.files, { read });
  expect((await api.send('GET', `/v1/jobs/${writer.job_id}/logs?tail=1`)).text).toBe('hello\n');
});
