import { expect } from 'vitest';
import { type HostileJob, STANDARD_MB } from '../hostile-job.js';

const MEMORY_MB = STANDARD_MB + 64;
const TMP_MB = MEMORY_MB / 4;

export const job: HostileJob = {
  title: 'row 37: /tmp of the strict profile is full before the memory is, and the rest of the image cannot be written',
  spec: {
    command: 'touch /root/x /etc/x 2>/dev/null && echo writable; cat /dev/zero > /tmp/x || du -m /tmp/x',
    memory_mb: MEMORY_MB,
  },
  ends: { state: 'completed', cause: null, exit_code: 0, message: null },
  evidence: { exit_code: 0, oom_kills: 0, asked_by: null },
  stdout: (text) => expect(text).toBe(`${TMP_MB}\t/tmp/x\n`),
};
