export { toUsageRows } from './archived-job.js';
export { NewerHistoryError } from './errors.js';
export { type FoundJob, type History, type HistoryOptions, openHistory } from './history.js';
export { USAGE_KEYS, type UsageKey, type UsageQuestion, type UsageSum } from './read-usage.js';
export type { ArchiveCut, FinishedJob } from './remove-jobs.js';
