import type { HostileJob } from '../hostile-job.js';

export const job: HostileJob = {
  title: 'row 39: what makes itself a daemon does not outlive its job',
  spec: {
    command: `(setsid sh -c 'trap "" TERM HUP; while true; do sleep 0.1; done' &) & sleep 1.5`,
    memory_mb: 32,
  },
  ends: { state: 'completed', cause: null, exit_code: 0 },
  evidence: { exit_code: 0, asked_by: null },
  // The container's init, the job's shell and its sleep, and the daemon.
  meanwhile: ({ until, countProcesses }) => until('the daemon', () => countProcesses() >= 4),
};
