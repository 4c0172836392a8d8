import type { LogEntry } from '@berth/store';
import { expect, it, onTestFinished } from 'vitest';
import { createLogFeeds, type FeedParts } from './log-feed.js';
import { createWake } from './wake.js';

const toPiece = (n: number): LogEntry => ({
  id: `1-${n}`,
  stream: 'stdout',
  attempt: 1,
  at: 0,
  bytes: Buffer.from('x'),
});
const PIECES = 5_000;
const PAGE = 1_024;

/** A feed of a job that runs, whose log ended at its 100th piece when the feed began. */
const openFeed = () => {
  const readAfter = async (_: string, after: string) => {
    const from = after === '-' ? 0 : Number(after.split('-')[1]);
    return Array.from({ length: Math.min(PAGE, PIECES - from) }, (_, i) => toPiece(from + i + 1));
  };
  const parts = {
    logs: { readAfter, readEnd: async () => '1-100' },
    channels: { subscribe: async () => () => {} },
    toChannel: (id: string) => id,
    waiters: { listen: () => () => {} },
    readJob: async () => ({ state: 'running' }),
  };
  const feed = createLogFeeds(parts as unknown as FeedParts).join('job');
  onTestFinished(feed.leave);
  return feed;
};

it.each([1_124, 1_500, 4_999])(
  'goes on for a reader that has come by itself to piece %i, behind all that is held',
  async (n) => {
    const feed = openFeed();
    const wake = createWake();
    feed.listen(wake.ring);
    const { signal } = new AbortController();
    // Until it is full of pieces that nobody has taken.
    while (feed.next('1-1123') === 'end') await wake.wait(60_000, signal);
    for (let next = feed.next(`1-${n}`); ; next = feed.next(`1-${n}`)) {
      if (next === 'end') await wake.wait(60_000, signal);
      else {
        expect(next).toMatchObject({ entry: { id: `1-${n + 1}` } });
        return;
      }
    }
  },
);
