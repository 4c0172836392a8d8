import type { EventFeed, Store } from '@berth/store';
import type { Logger } from 'pino';
import { startJanitor } from './janitor.js';
import { startPlanner } from './planner.js';
import { startRecounts } from './recounts.js';
import { startWorkShapes, type WorkShapes } from './work-shapes.js';

interface UpkeepOptions {
  store: Store;
  feed: EventFeed;
  classes: string[];
  retentionSeconds: number;
  now: () => number;
  log: Logger;
}

/** What goes on by itself in every replica, beside the moving of the backlog: each of it may be done twice, and by whichever replica. */
export const startUpkeep = ({ store, feed, classes, retentionSeconds, now, log }: UpkeepOptions) => {
  const { forget, forgetArrays } = store.retention;
  const workShapes: WorkShapes = startWorkShapes({ store, feed, log });
  const started = [
    startJanitor({ forgets: [forget, forgetArrays], retentionSeconds, now, log }),
    startPlanner({ store, classes, log }),
    startRecounts({ counts: store.counts, log }),
    workShapes,
  ];
  return {
    /** Says that an array may have room for more jobs. Returns at once. */
    onArrayReady: workShapes.kick,
    async close(): Promise<void> {
      await Promise.all(started.map((one) => one.close()));
    },
  };
};
