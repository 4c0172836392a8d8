import { expect } from 'vitest';
import type { HostileJob } from '../hostile-job.js';

const MOST_PROCESSES = 256;

export const job: HostileJob = {
  title: 'row 36: a fork bomb reaches its limit of processes, and dies at its timeout',
  spec: {
    command: 'bomb() { bomb | bomb & }; (bomb) 2>/dev/null; exec sleep 300',
    cpus: 0.5,
    memory_mb: 128,
    timeout_seconds: 2,
    stop_grace_seconds: 1,
  },
  ends: { state: 'failed', cause: 'timeout', exit_code: 143 },
  evidence: { signal: 'SIGTERM', asked_by: 'timeout' },
  meanwhile: async ({ until, countProcesses }) => {
    await until('many processes', () => countProcesses() > MOST_PROCESSES / 2);
    expect(countProcesses()).toBeLessThanOrEqual(MOST_PROCESSES);
  },
};
