import type { Claim, WireFormat } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { toProgram } from './kept-format.js';

const toClaim = (format: WireFormat, command: string | string[]): Claim =>
  ({ job_id: 'j', format, spec: { command, env: { A: 'b' } } }) as unknown as Claim;

describe('toProgram', () => {
  it.each(['v1', 'coordinator'] as const)('runs the command as it stands for %s', (format) => {
    expect(toProgram(toClaim(format, 'echo hi'), 'n')).toEqual({
      argv: ['/bin/sh', '-c', 'echo hi'],
      keeps_entrypoint: false,
      env: { A: 'b' },
    });
  });

  it("leaves the image's entrypoint to workload jobs, and tells them who they are", () => {
    expect(toProgram(toClaim('workload', []), 'n')).toEqual({
      argv: [],
      keeps_entrypoint: true,
      env: { A: 'b', JOB_ID: 'j', EXECUTOR_IP: 'n' },
    });
  });
});
