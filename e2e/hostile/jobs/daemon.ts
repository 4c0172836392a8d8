import type { HostileJob } from '../hostile-job.js';

export const job: HostileJob = {
  title: 'row 39: what makes itself a daemon does not outlive its job',
  spec: {
    command: `(setsid sh -c 'trap "" TERM HUP; : > /tmp/up; while true; do sleep 0.1; done' &) & until [ -e /tmp/up ]; do sleep 0.1; done`,
    memory_mb: 32,
  },
  ends: { state: 'completed', cause: null, exit_code: 0 },
  evidence: { exit_code: 0, asked_by: null },
};
