import type { JobRecord } from '@berth/store';

/** What the last event of a job's streams says. */
export const toEndData = ({ state, exit_code, cause }: JobRecord) => ({ state, exit_code, cause });
