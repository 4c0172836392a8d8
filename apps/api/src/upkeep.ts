import type { History } from '@berth/history';
import type { EventFeed, Store } from '@berth/store';
import type { Logger } from 'pino';
import { startArchiver } from './archiver.js';
import type { ApiConfig } from './config.js';
import { startForgettingArrays } from './forget-arrays.js';
import { type Planner, startPlanner } from './planner.js';
import { startRecounts } from './recounts.js';
import type { Sweep } from './retention/sweep.js';
import { startLogSealing } from './seal-logs.js';
import { startServiceQuotas } from './service-quotas.js';
import { startWorkShapes, type WorkShapes } from './work-shapes.js';

interface UpkeepOptions {
  store: Store;
  feed: EventFeed;
  classes: string[];
  config: Pick<ApiConfig, 'retentionSeconds' | 'archiveAfterSeconds' | 'keepFinished' | 'services'>;
  /** Where there is one, finished jobs go there, and nothing that is not there is forgotten. */
  history: History | undefined;
  sweep: Sweep;
  /** Instead of its own. */
  planner: Pick<Planner, 'close'> | undefined;
  now: () => number;
  log: Logger;
}

/** What goes on by itself in every replica, beside the moving of the backlog: each of it may be done twice, and by whichever replica. */
export const startUpkeep = ({ store, feed, classes, config, history, sweep, planner, now, log }: UpkeepOptions) => {
  const { retentionSeconds } = config;
  const workShapes: WorkShapes = startWorkShapes({ store, feed, log });
  const started = [
    startForgettingArrays({ retention: store.retention, retentionSeconds, now, log }),
    ...(history ? [startArchiver({ archiving: store.archiving, history, ...config, now, log })] : []),
    planner ?? startPlanner({ store, classes, log }),
    startRecounts({ counts: store.counts, log }),
    startLogSealing({ logs: store.logs, log }),
    startServiceQuotas({ quotas: store.quotas, services: config.services, log }),
    sweep.start(),
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
