import { Readable } from 'node:stream';
import { FilesUnavailable } from '@berth/store';
import { pino } from 'pino';
import { beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { toClaim } from '../../test/fakes.js';
import { createHold } from '../hold.js';
import { keepOutputs } from './keep-outputs.js';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
});

/** Each try to store them takes so long and fails; those that follow do not. */
const keep = (tries_ms: number[]) => {
  const log = pino({ level: 'silent' });
  const put = async () => {
    const ms = tries_ms.shift();
    if (ms === undefined) return { bytes: 0, sha256: '' };
    await new Promise((resolve) => setTimeout(resolve, ms));
    throw new FilesUnavailable('away');
  };
  const container = { copyOut: () => Readable.from([]) };
  const limits = { bytes: 1, files: 1 } as never;
  return keepOutputs(
    createHold(
      toClaim({}, { outputs: ['a'] }),
      () => false,
      () => {},
    ),
    container,
    {
      files: { put },
      limits,
      log,
      goes_back: false,
    },
  );
};

it('is patient anew where the store went away after a long try', async () => {
  const kept = keep([70_000, 0, 0, 90_000, 0]);
  await vi.advanceTimersByTimeAsync(400_000);
  expect(await kept).toMatchObject({ notes: [] });
});

it('gives up where the store stays away', async () => {
  const tries = Array.from({ length: 40 }, () => 0);
  const kept = keep(tries);
  await vi.advanceTimersByTimeAsync(200_000);
  expect(await kept).toMatchObject({ files: 0, notes: [expect.stringContaining('could not be stored')] });
  expect(tries.length).toBeGreaterThan(0);
});
