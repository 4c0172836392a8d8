import { AppError } from '@berth/domain';
import type { Archiving, StoredJob } from '@berth/store';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { startArchiver } from './archiver.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Time for so many passes. */
const letPass = (passes: number) => vi.advanceTimersByTimeAsync(passes * 2_000);

const toStored = (job_id: string): StoredJob => ({ job_id, fields: {}, events: [], segments: [], output_here: false });

/** An archiver of these jobs over an archive that does not take what `check` throws for. */
const start = (ids: string[], check: (job: StoredJob) => void, removed = () => {}) => {
  const here = new Set(ids);
  const archiving = {
    countFinished: async () => ({ all: here.size, before: here.size }),
    findFinished: async (skip: number, limit: number) => [...here].slice(skip, skip + limit),
    readStored: async (some: string[]) => some.map(toStored),
    removeArchived: async (some: string[]) => {
      removed();
      for (const id of some) here.delete(id);
    },
    noteArchived: async () => {},
  } as unknown as Archiving;
  const lines: { level: number; job_id?: string; reason?: string }[] = [];
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const save = vi.fn(async (jobs: StoredJob[]) => {
    jobs.forEach(check);
    return jobs.length;
  });
  const times = { archiveAfterSeconds: 0, keepFinished: 0, retentionSeconds: 1, now: () => 0 };
  const archiver = startArchiver({ archiving, history: { save, readNewest: async () => null }, ...times, log });
  onTestFinished(() => archiver.close());
  return { here, save, lines, errors: () => lines.filter(({ level }) => level >= 50) };
};

it('passes over a job that the archive does not take, and says so', async () => {
  const { here, errors } = start(['a', 'b', 'c'], ({ job_id }) => {
    if (job_id === 'b') throw Object.assign(new Error('invalid byte sequence'), { code: '22021' });
  });
  await letPass(2);
  expect([...here]).toEqual(['b']);
  expect(errors()).toMatchObject([{ job_id: 'b' }]);
});

it('tries none by itself while the archive is away', async () => {
  const { here, save, errors } = start(['a', 'b', 'c'], () => {
    throw new AppError('unavailable', 'away');
  });
  await letPass(1);
  expect([here.size, save.mock.calls.length, errors()]).toEqual([3, 1, []]);
});

it('says once what keeps it from archiving, and once that it does again', async () => {
  const refused = Object.assign(new Error("OOM command not allowed when used memory > 'maxmemory'."), {
    name: 'ReplyError',
  });
  const faults = [new AppError('unavailable', 'away'), new AppError('unavailable', 'away'), refused];
  const { here, save, lines } = start(
    ['a'],
    () => {
      if (faults[0] instanceof AppError) throw faults.shift();
    },
    () => {
      const fault = faults.shift();
      if (fault) throw fault;
    },
  );
  await letPass(4);
  expect([here.size, save.mock.calls.length]).toEqual([0, 4]);
  const said = lines.filter(({ level }) => level === 40).map(({ reason }) => reason);
  expect(said).toEqual(['away', 'Redis answers OOM.']);
  expect(lines.at(-1)).toMatchObject({ msg: 'finished jobs are archived again' });
});
