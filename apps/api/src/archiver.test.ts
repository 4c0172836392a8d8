import { AppError } from '@berth/domain';
import type { Archiving, StoredJob } from '@berth/store';
import { pino } from 'pino';
import { expect, it, onTestFinished, vi } from 'vitest';
import { startArchiver } from './archiver.js';

const WAIT = { timeout: 10_000 };

const toStored = (job_id: string): StoredJob => ({ job_id, fields: {}, events: [], segments: [], output_here: false });

/** An archiver of these jobs over an archive that does not take what `check` throws for. */
const start = (ids: string[], check: (job: StoredJob) => void) => {
  const here = new Set(ids);
  const archiving = {
    countFinished: async () => ({ all: here.size, before: here.size }),
    findFinished: async (skip: number, limit: number) => [...here].slice(skip, skip + limit),
    readStored: async (some: string[]) => some.map(toStored),
    removeArchived: async (some: string[]) => some.forEach((id) => void here.delete(id)),
    noteArchived: async () => {},
  } as unknown as Archiving;
  const lines: { level: number; job_id?: string }[] = [];
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const save = vi.fn(async (jobs: StoredJob[]) => {
    jobs.forEach(check);
    return jobs.length;
  });
  const times = { archiveAfterSeconds: 0, keepFinished: 0, retentionSeconds: 1, now: () => 0 };
  const archiver = startArchiver({ archiving, history: { save, readNewest: async () => null }, ...times, log });
  onTestFinished(() => archiver.close());
  return { here, save, errors: () => lines.filter(({ level }) => level >= 50) };
};

it('passes over a job that the archive does not take, and says so', async () => {
  const { here, errors } = start(['a', 'b', 'c'], ({ job_id }) => {
    if (job_id === 'b') throw Object.assign(new Error('invalid byte sequence'), { code: '22021' });
  });
  await vi.waitFor(() => expect([...here]).toEqual(['b']), WAIT);
  expect(errors()).toMatchObject([{ job_id: 'b' }]);
});

it('tries none by itself while the archive is away', async () => {
  const { here, save, errors } = start(['a', 'b', 'c'], () => {
    throw new AppError('unavailable', 'away');
  });
  await vi.waitFor(() => expect(save).toHaveBeenCalled(), WAIT);
  expect([here.size, save.mock.calls.length, errors()]).toEqual([3, 1, []]);
});
