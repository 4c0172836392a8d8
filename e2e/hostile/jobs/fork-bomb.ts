import { expect } from 'vitest';
import type { HostileJob } from '../hostile-job.js';

const MOST_PROCESSES = 256;

export const job: HostileJob = {
  title: 'row 36: a fork bomb reaches its limit of processes, and dies at its timeout',
  spec: {
    command: 'bomb() { bomb | bomb & sleep 300; }; (bomb) 2>/dev/null & exec sleep 300',
    cpus: 0.5,
    memory_mb: 128,
    // Long enough to be seen at its limit, and to be taken down politely, where the machine is slow.
    timeout_seconds: 6,
    stop_grace_seconds: 30,
  },
  ends: { state: 'failed', cause: 'timeout', exit_code: 143 },
  evidence: { signal: 'SIGTERM', asked_by: 'timeout' },
  meanwhile: async ({ until, countProcesses }) => {
    let most = 0;
    await until('many processes, and their end', () => {
      const processes = countProcesses();
      most = Math.max(most, processes);
      return most > 0.75 * MOST_PROCESSES && processes === 0;
    });
    expect(most).toBeLessThanOrEqual(MOST_PROCESSES);
  },
};
