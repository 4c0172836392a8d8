import { type History, openHistory } from '@berth/history';
import type { Store } from '@berth/store';
import type { Logger } from 'pino';
import type { Broker } from './broker.js';
import type { ApiConfig } from './config.js';
import { withHistory } from './history-store.js';
import { createUsageReport, type ReadUsageReport } from './usage-report.js';

/** Where finished jobs are: in Redis alone, or after a while in an archive. */
export interface FinishedJobs {
  /** Undefined where DATABASE_URL names none. */
  history: History | undefined;
  /** For requests: reads jobs wherever they are. */
  store: Store;
  readUsageReport: ReadUsageReport;
  close(): Promise<void>;
}

/** Throws NewerHistoryError where the database is of a later version; does not wait for one that is away. */
export const openFinishedJobs = async (
  { databaseUrl, prefix }: ApiConfig,
  { store, close }: Broker,
  log: Logger,
): Promise<FinishedJobs> => {
  const onError = (err: Error) => log.warn({ err }, 'the archive of finished jobs does not answer');
  const opening = databaseUrl === undefined ? undefined : openHistory({ url: databaseUrl, prefix, onError });
  const history = await opening?.catch(async (error) => {
    await close();
    throw error;
  });
  return {
    history,
    store: history ? withHistory(store, history) : store,
    readUsageReport: createUsageReport({ jobs: store.jobs, archiving: store.archiving, history }),
    close: async () => history?.close(),
  };
};
