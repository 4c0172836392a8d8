import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type HostileJob, MAX_OUTPUTS, STANDARD_MB } from '../hostile-job.js';

const CANARY = 'nobody has read this';
const folder = mkdtempSync(join(tmpdir(), 'berth-canary-'));
const canary = join(folder, 'canary');
writeFileSync(canary, CANARY);

const BEYOND = 50;
const DEEP = 70;
const WAYS_OUT = [
  `ln -s ${canary} abs`,
  `ln -s ../../../../../../../../..${canary} up`,
  `ln -s ${folder} folder`,
  'ln -s / root',
  'ln -s good good-link',
  'ln good hard',
  'mkfifo fifo',
  'mknod device c 1 3 && echo made a device || echo made no device',
  'touch "$(printf \'line\\nbreak\\033[31m\')"',
  `d=deep; for i in $(seq ${DEEP}); do d=$d/d; done; mkdir -p $d && echo x > $d/x`,
  `mkdir many; i=0; while [ $i -lt ${MAX_OUTPUTS.files + BEYOND} ]; do : > many/$i; i=$((i + 1)); done`,
  'truncate -s 50G zz-sparse',
  'echo lost > zzz-behind-it',
];

export const job: HostileJob = {
  title: 'S5, S6: what it leaves beside plain files is refused one by one, and no path of the machine is followed',
  spec: {
    command: `echo good > a-good; echo good > good; ${WAYS_OUT.join('; ')}; exit 3`,
    memory_mb: STANDARD_MB + 64,
    outputs: ['**'],
    timeout_seconds: 300,
  },
  ends: { state: 'failed', cause: 'exit_code', exit_code: 3 },
  evidence: { exit_code: 3, oom_kills: 0, asked_by: null },
  // Its container may make none: no capability is left to it.
  stdout: (text) => expect(text).toBe('made no device\n'),
  left: ({ files, refused, notes }) => {
    const names = files.map(({ path }) => path);
    expect(names.filter((name) => !name.startsWith('many/'))).toEqual(expect.arrayContaining(['a-good']));
    expect(names).toHaveLength(MAX_OUTPUTS.files);
    expect(names.join()).not.toMatch(/abs|up|folder|root|fifo|device|deep|sparse|behind|\p{Cc}/u);
    // One of the two names of a file is a file, and the other a link to it.
    expect(names.filter((name) => name === 'good' || name === 'hard')).toHaveLength(1);
    const said = notes.join('\n');
    expect(notes).toContain('fifo: a named pipe, not kept');
    for (const name of ['abs', 'folder', 'deep/d', 'line\\u{a}break\\u{1b}[31m']) expect(said).toContain(name);
    expect(refused).toBeGreaterThan(BEYOND + 5);
    expect(notes.length).toBeLessThanOrEqual(20);
    expect(readFileSync(canary, 'utf8')).toBe(CANARY);
    rmSync(folder, { recursive: true });
  },
};
