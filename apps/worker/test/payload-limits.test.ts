import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError, DEFAULT_CLASSES } from '@berth/domain';
import { type FormSource, openLocalFiles } from '@berth/store';
import { pino } from 'pino';
import { expect, it, onTestFinished, vi } from 'vitest';
import { createPayloads, type PayloadsOptions } from '../src/payloads.js';

const toForm = async (text: string): Promise<FormSource> => {
  const form = new FormData();
  form.append('file', new Blob([text]), 'run.sh');
  const { headers, body } = new Response(form);
  return { headers: Object.fromEntries(headers), body: body as unknown as AsyncIterable<Uint8Array> };
};

/** Payloads of a broker that is full, and that says what it was told. */
const open = async (limits: Partial<PayloadsOptions>, refusal: AppError) => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-payloads-'));
  const files = await openLocalFiles(folder);
  onTestFinished(async () => {
    await files.close();
    rmSync(folder, { recursive: true });
  });
  const add = vi.fn(async (_upload: unknown, quota_bytes?: number) =>
    quota_bytes === undefined ? { kind: 'added', upload: {} } : { kind: 'over_quota', stored_bytes: 7 },
  );
  const drop = vi.fn(async () => undefined);
  const store = {
    jobs: { accept: () => Promise.reject(refusal) },
    numbers: { give: async () => 12, drop },
    uploads: { add, touch: async () => [], markRemoving: async () => 'changed', remove: async () => true },
  };
  const payloads = createPayloads({
    ...{ store, files, classes: DEFAULT_CLASSES, defaultImage: 'busybox', log: pino({ level: 'silent' }) },
    ...{ claims: {}, worker: {}, maxFileBytes: 1_000, uploadQuotaBytes: undefined, ...limits },
  } as unknown as PayloadsOptions);
  return { submit: async (text: string) => payloads.submit('ann', await toForm(text)), drop };
};

const FULL = new AppError('over_quota', 'Submit again later.');

it('a file may have so many bytes, and those of a user together', async () => {
  const { submit } = await open({}, FULL);
  await expect(submit('x'.repeat(1_001))).rejects.toThrow('larger than 1000 bytes');
  const { submit: submitMore } = await open({ uploadQuotaBytes: 100 }, FULL);
  await expect(submitMore('x')).rejects.toThrow('take 7 bytes already');
});

it('the number of a payload that is refused is dropped, and kept where nobody knows', async () => {
  const { submit, drop } = await open({}, FULL);
  await expect(submit('true')).rejects.toBe(FULL);
  expect(drop).toHaveBeenCalledWith(12);
  const away = await open({}, new AppError('unavailable', 'Redis does not answer.'));
  await expect(away.submit('true')).rejects.toThrow('does not answer');
  expect(away.drop).not.toHaveBeenCalled();
});
