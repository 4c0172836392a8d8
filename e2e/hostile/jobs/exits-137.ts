import type { HostileJob } from '../hostile-job.js';

export const job: HostileJob = {
  title: 'a job that exits with 137 by itself has failed by itself',
  spec: { command: 'exit 137' },
  ends: { state: 'failed', cause: 'exit_code', exit_code: 137 },
  evidence: { exit_code: 137, oom_kills: 0, oom_flag: false, asked_by: null },
};
