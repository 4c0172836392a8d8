import type { HostileJob } from '../hostile-job.js';

export const job: HostileJob = {
  title: 'row 38: what ignores TERM is killed when its grace is over',
  spec: { command: "trap '' TERM; while true; do sleep 0.1; done", timeout_seconds: 4, stop_grace_seconds: 1 },
  ends: { state: 'failed', cause: 'timeout', exit_code: 137 },
  evidence: { exit_code: 137, signal: 'SIGKILL', oom_kills: 0, asked_by: 'timeout' },
};
