import { objectNames } from '@berth/store';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endWithArtifacts, putPack } from './artifact-api.js';
import { download } from './download.js';
import { claimJob, settleJob, startJob, until } from './open-test-api.js';
import { FORM_TYPE, type OrchestratorApi, openOrchestratorApi, type Part, toForm } from './orchestrator-api.js';
import { readZip } from './read-zip.js';

const SCRIPT = 'echo hi > out.txt\n';
const FIELDS: Part[] = [
  ['user_id', '7'],
  ['service', 'example'],
];
const RUN: Part = ['file', 'run.sh', SCRIPT];

let api: OrchestratorApi;
beforeAll(async () => {
  api = await openOrchestratorApi('compat-orchestrator');
});
afterAll(() => api.close());

/** Uploads, and returns the number and the job's own id. */
const submit = async (parts: Part[] = [RUN, ...FIELDS]): Promise<{ id: number; job_id: string }> => {
  const { status, body } = await api.upload(parts);
  expect([status, body.status]).toEqual([201, 'Queued']);
  const known = await api.store.numbers.find(body.id);
  return { id: body.id, job_id: known?.job_id ?? '' };
};

const stateOf = async (id: number) => (await api.get(`/download/${id}`)).body;
const terminate = (id: number) => api.get(`/terminate/${id}`, {}, 'POST');

/** Row by row of what the job orchestrator's clients see. */
describe('an upload', () => {
  it('is a job with the next number, and its files are its inputs', async () => {
    const first = await submit([['file', 'data.csv', 'a,b'], RUN, ...FIELDS]);
    const { status, body } = await api.upload([...FIELDS, ['file', 'other/run.sh', 'true'], RUN]);
    expect([status, body]).toEqual([201, { id: first.id + 1, status: 'Queued', message: 'Job successfully uploaded' }]);
    const job = await api.store.jobs.read(first.job_id);
    expect(job).toMatchObject({
      format: 'orchestrator',
      user: 'local',
      class: 'small',
      request: { id: first.id, user_id: 7, service: 'example' },
      spec: {
        image: 'busybox:stable',
        workdir: '/workspace',
        network: 'egress',
        outputs: ['**'],
        timeout_seconds: 604_800,
      },
    });
    expect(job?.spec.inputs?.map(({ path }) => path)).toEqual(['data.csv', 'run.sh']);
    const second = await api.store.numbers.find(body.id);
    const inputs = (await api.store.jobs.read(second?.job_id ?? ''))?.spec.inputs;
    expect(inputs).toHaveLength(1);
    expect(inputs?.[0]).toEqual(job?.spec.inputs?.[1]);
  });

  it("is of its service's image, and as large as its class", async () => {
    const { job_id } = await submit([RUN, ['user_id', '1'], ['service', 'big_tool']]);
    const spec = { image: 'tool:1', cpus: 4, memory_mb: 8192 };
    expect(await api.store.jobs.read(job_id)).toMatchObject({ class: 'medium', spec });
  });

  const refused: [string, Part[], string][] = [
    ['no user_id', [RUN, ['service', 'example']], 'Missing user_id field'],
    ['no service', [RUN, ['user_id', '7']], 'Missing service field'],
    ['neither', [RUN], 'Missing user_id field'],
    ['a user_id in words', [RUN, ['user_id', 'me'], ['service', 'example']], 'Invalid user_id, should be a number'],
    [
      'a user_id of 33 bits',
      [RUN, ['user_id', '2147483648'], ['service', 'example']],
      'Invalid user_id, should be a number',
    ],
    ['a service that is none', [RUN, ['user_id', '7'], ['service', 'Example']], 'Invalid service'],
    ['the same, fields first', [['user_id', '7'], ['service', 'no'], RUN], 'Invalid service'],
    [
      'a long field',
      [RUN, ['user_id', '7'.repeat(2000)], ...FIELDS],
      'Error reading text field: "user_id" is longer than 1024 bytes',
    ],
    ['a bad name', [RUN, ['file', 'a\tb', 'x'], ...FIELDS], 'Could not save file: its name cannot be a file name'],
  ];
  it.each(refused)('with %s is refused, and nothing is left of it', async (_, parts, message) => {
    const before = await api.countLeft();
    const { status, body } = await api.upload(parts);
    expect([status, body]).toEqual([400, { id: 0, status: 'Unknown', message }]);
    expect(await api.countLeft()).toEqual(before);
  });

  it('that is no form, breaks off or is too large is refused, and nothing is left of it', async () => {
    const before = await api.countLeft();
    const json = await api.upload([], { 'content-type': 'application/json' });
    expect([json.status, json.body.message]).toEqual([
      400,
      'Multipart error: Send the body as Content-Type: multipart/form-data',
    ]);
    const headers = { 'content-type': FORM_TYPE };
    const cut = await download(api.filesPort, '/upload', {
      method: 'POST',
      headers,
      body: toForm([...FIELDS, RUN]).subarray(0, -20),
    });
    expect([cut.status, cut.body.message]).toEqual([400, 'Multipart error: Unexpected end of form']);
    const large = await api
      .get('/upload', { ...headers, 'content-length': String(420 * 1024 * 1024) }, 'POST')
      .catch((error) => error.code);
    if (typeof large !== 'string') {
      expect(large.body.message).toBe('Could not save file: Chunk read failed: the upload is larger than 400 MiB');
    }
    expect(await api.countLeft()).toEqual(before);
  });

  it('beyond what its user may have pending is refused, and nothing is left of it', async () => {
    const before = await api.countLeft();
    await api.store.quotas.set({ user: 'local' }, { max_pending: 0 });
    const { status, body } = await api.upload([RUN, ['file', 'new.txt', 'not had before'], ...FIELDS]);
    await api.store.quotas.remove({ user: 'local' });
    expect([status, body.id]).toEqual([429, 0]);
    expect(await api.countLeft()).toEqual(before);
  });

  it('from a page of another site is refused, as is a terminate', async () => {
    for (const headers of [{ origin: 'http://evil.example' }, { 'sec-fetch-site': 'cross-site' }]) {
      expect((await api.upload([RUN, ...FIELDS], headers as Record<string, string>)).status).toBe(403);
      expect((await api.get('/terminate/1', headers as Record<string, string>, 'POST')).status).toBe(403);
    }
    expect((await api.upload([RUN, ...FIELDS], { 'sec-fetch-site': 'same-origin', origin: 'http://x' })).status).toBe(
      201,
    );
  });

  it('does not take files away that its user had before', async () => {
    await submit([RUN, ['file', 'kept.txt', 'kept'], ...FIELDS]);
    const before = await api.countLeft();
    const { status } = await api.upload([
      ['file', 'kept.txt', 'kept'],
      ['file', 'new.txt', 'new'],
      ['user_id', '1'],
    ]);
    expect(status).toBe(400);
    expect(await api.countLeft()).toEqual(before);
  });

  it.each([
    ['no files', [...FIELDS], 'There are no files: send at least run.sh'],
    ['no run.sh', [...FIELDS, ['file', 'Run.sh', 'true']], 'There is no run.sh among the files'],
  ] as [string, Part[], string][])('of %s is queued, and invalid from then on', async (_, parts, message) => {
    const { id, job_id } = await submit(parts);
    expect(await stateOf(id)).toEqual({ id, status: 'Invalid', message });
    expect(await api.store.jobs.read(job_id)).toMatchObject({ state: 'cancelled', message });
    expect((await terminate(id)).status).toBe(409);
    expect((await api.get(`/download_partial/${id}`)).status).toBe(404);
  });
});

describe('a job', () => {
  it('goes through its states, and its zip is its result', async () => {
    const { id, job_id } = await submit();
    expect(await stateOf(id)).toEqual({ id, status: 'Queued', message: '' });
    expect(await api.get(`/download_partial/${id}`)).toMatchObject({
      status: 404,
      body: { id, status: 'Queued', message: 'Job payload not found on client' },
    });
    await endWithArtifacts(api, job_id, { 'run.sh': SCRIPT, 'out.txt': 'hi\n' });
    const whole = await api.get(`/download/${id}`);
    expect([whole.status, whole.headers['content-type']]).toEqual([200, 'application/zip']);
    const files = await readZip(whole.bytes);
    expect(Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name, String(bytes)]))).toEqual({
      'run.sh': SCRIPT,
      'out.txt': 'hi\n',
    });
    expect(Object.keys(await readZip((await api.get(`/download_partial/${id}`)).bytes))).toHaveLength(2);
    const head = await api.get(`/download/${id}`, {}, 'HEAD');
    expect([head.status, head.headers['content-type'], head.bytes.length]).toEqual([200, 'application/zip', 0]);
  });

  it('is prepared, running and locked while a worker has it', async () => {
    const { id, job_id } = await submit();
    const claim = await claimJob(api.store, job_id);
    expect(await stateOf(id)).toMatchObject({ status: 'Prepared' });
    await api.store.claims.start(claim, 'sha256:abc');
    expect(await stateOf(id)).toEqual({ id, status: 'Running', message: '' });
    const reply = await terminate(id);
    expect([reply.status, reply.body]).toEqual([200, { id, status: 'Unknown', message: 'job terminated' }]);
    expect(await stateOf(id)).toMatchObject({ status: 'Locked' });
    await settleJob(api.store, claim, { type: 'completed', cause: null, exit_code: 0 });
    expect(await stateOf(id)).toMatchObject({ status: 'Killed' });
    expect((await terminate(id)).status).toBe(200);
  });

  it('is killed while it is prepared, and does not begin', async () => {
    const { id, job_id } = await submit();
    const claim = await claimJob(api.store, job_id);
    expect(await stateOf(id)).toMatchObject({ status: 'Prepared' });
    const reply = await terminate(id);
    expect([reply.status, reply.body]).toEqual([200, { id, status: 'Unknown', message: 'job terminated' }]);
    expect(await api.store.claims.start(claim, 'sha256:abc')).toBe('cancel');
    await settleJob(api.store, claim, { type: 'completed', cause: null, exit_code: 0 });
    expect(await stateOf(id)).toMatchObject({ status: 'Killed' });
  });

  it('is killed before it has begun, and never runs', async () => {
    const { id, job_id } = await submit();
    expect((await terminate(id)).status).toBe(200);
    expect(await stateOf(id)).toMatchObject({ status: 'Killed', message: '' });
    await expect(startJob(api.store, job_id)).rejects.toThrow('cancelled');
  });

  it.each([
    [{ cause: 'exit_code', exit_code: 3, message: null }, 'exit code 3'],
    [{ cause: 'out_of_memory', exit_code: 137, message: null }, 'Job ran out of memory'],
    [{ cause: 'image_not_found', exit_code: null, message: 'nobody knows it' }, 'Image not found: nobody knows it'],
  ])('that ended with %j is failed, with the reason, for good', async (end, message) => {
    const { id, job_id } = await submit();
    await settleJob(api.store, await startJob(api.store, job_id), { type: 'failed', ...end });
    expect(await stateOf(id)).toEqual({ id, status: 'Failed', message });
    const reply = await terminate(id);
    expect([reply.status, reply.body]).toEqual([409, { id, status: 'Failed', message: 'could not terminate job' }]);
    expect(await stateOf(id)).toMatchObject({ status: 'Failed' });
  });

  it('that completed stays so when it is terminated', async () => {
    const { id, job_id } = await submit();
    await endWithArtifacts(api, job_id, { a: 'a' });
    expect((await terminate(id)).body).toMatchObject({ status: 'Completed' });
    expect((await api.get(`/download/${id}`)).headers['content-type']).toBe('application/zip');
  });

  it('that is not there gets 404, and what is no number 400', async () => {
    for (const path of ['/download/4000000000', '/download_partial/4000000000']) {
      const reply = await api.get(path);
      const message = 'Job 4000000000 not found in the database';
      expect([reply.status, reply.body]).toEqual([404, { id: 0, status: 'Unknown', message }]);
    }
    for (const path of ['/download/x', '/download/%00', '/download/-1', '/download/4294967296', '/download/1.5']) {
      expect((await api.get(path)).status).toBe(400);
    }
    expect((await api.get('/upload')).status).toBe(405);
  });
});

describe('partial results', () => {
  it('are what the running container has written', async () => {
    const { id, job_id } = await submit();
    await startJob(api.store, job_id);
    const asked = api.get(`/download_partial/${id}`);
    await until('somebody waits', () => api.store.partials.isWanted(job_id));
    const names = objectNames.partialOutputs(job_id, 'p');
    const kept = await putPack(api.files, names, { 'half.txt': 'half' });
    await api.store.partials.answer(job_id, { part: 'p', epoch: 1, ...kept, refused: 0, notes: [] });
    expect(String((await readZip((await asked).bytes))['half.txt'])).toBe('half');
  });
});

describe('the paths beside', () => {
  it('answer as they did', async () => {
    expect((await api.get('/')).body).toEqual({ message: 'pong' });
    expect((await api.get('/health')).body).toMatchObject({ status: 'healthy', database: 'ok' });
    expect((await api.get('/swagger')).headers['content-type']).toContain('text/html');
    expect(String((await api.get('/swagger/start.js')).bytes)).toContain("url: '/api-docs/openapi.json'");
    expect(Object.keys((await api.get('/api-docs/openapi.json')).body.paths)).toContain('/terminate/{id}');
  });
});
