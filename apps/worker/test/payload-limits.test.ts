import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError, DEFAULT_CLASSES } from '@berth/domain';
import { type FileStore, type FormSource, openLocalFiles, type Store } from '@berth/store';
import { pino } from 'pino';
import { expect, it, onTestFinished, vi } from 'vitest';
import { createPayloads, type PayloadsOptions } from '../src/payloads.js';
import { openRig } from './open-rig.js';

const toForm = async (text: string): Promise<FormSource> => {
  const form = new FormData();
  form.append('file', new Blob([text]), 'run.sh');
  const { headers, body } = new Response(form);
  return { headers: Object.fromEntries(headers), body: body as unknown as AsyncIterable<Uint8Array> };
};

/** Payloads of a user who may have no more pending jobs. */
const open = async (limits: Partial<PayloadsOptions> = {}, jobs: Partial<Store['jobs']> = {}) => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-payloads-'));
  const files = await openLocalFiles(folder);
  onTestFinished(async () => {
    await files.close();
    rmSync(folder, { recursive: true });
  });
  const { store } = openRig('payload-limits');
  await store.quotas.set({ user: 'ann' }, { max_pending: 0 });
  const drop = vi.fn(store.numbers.drop);
  const payloads = createPayloads({
    ...{ store: { ...store, jobs: { ...store.jobs, ...jobs }, numbers: { ...store.numbers, drop } }, files },
    ...{ classes: DEFAULT_CLASSES, defaultImage: 'busybox', log: pino({ level: 'silent' }) },
    ...{ claims: {}, worker: {}, maxFileBytes: 1_000, uploadQuotaBytes: undefined, ...limits },
  } as unknown as PayloadsOptions);
  return { submit: async (text: string) => payloads.submit('ann', await toForm(text)), drop, store, files };
};

const countLeft = async ({ store, files }: { store: Store; files: FileStore }) => {
  const count = async (items: AsyncIterable<unknown>): Promise<number> => {
    let found = 0;
    for await (const _ of items) found++;
    return found;
  };
  return { objects: await count(files.list('')), entries: await count(store.uploads.listAll()) };
};

const NOTHING = { objects: 0, entries: 0 };

it('a file may have so many bytes, and those of a user together', async () => {
  const one = await open();
  await expect(one.submit('x'.repeat(1_001))).rejects.toThrow('larger than 1000 bytes');
  expect(await countLeft(one)).toEqual(NOTHING);
  const all = await open({ uploadQuotaBytes: 100 });
  await expect(all.submit('x'.repeat(101))).rejects.toThrow('take 0 bytes already');
  expect(await countLeft(all)).toEqual(NOTHING);
});

it('a payload that is refused leaves neither its number nor its files', async () => {
  const full = await open();
  await expect(full.submit('true')).rejects.toMatchObject({ code: 'over_quota' });
  expect(full.drop).toHaveBeenCalledWith(1);
  expect(await countLeft(full)).toEqual(NOTHING);
});

it('the number of a payload stays where nobody knows whether it was accepted', async () => {
  const away = new AppError('unavailable', 'Redis does not answer.');
  const { submit, drop } = await open({}, { accept: () => Promise.reject(away) });
  await expect(submit('true')).rejects.toBe(away);
  expect(drop).not.toHaveBeenCalled();
});
