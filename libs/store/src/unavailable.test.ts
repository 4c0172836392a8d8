import { ReplyError } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { findRefusal, isUnavailable } from './unavailable.js';

const reply = (message: string, previousErrors?: Error[]): Error =>
  Object.assign(new ReplyError(message) as Error, previousErrors ? { previousErrors } : {});

const OOM = "OOM command not allowed when used memory > 'maxmemory'.";
/** How Redis 6 tells what a script met. */
const inScript = (text: string) =>
  `ERR Error running script (call to f_0a1b): @user_script:12: @user_script: 12: ${text} `;

describe('isUnavailable', () => {
  it.each([
    OOM,
    `${OOM} script: 0a1b, on @user_script:12.`,
    inScript(`-${OOM}`),
    'MISCONF Errors writing to the AOF file: No space left on device script: 0a1b, on @user_script:3.',
    'MISCONF Redis is configured to save RDB snapshots, but it is currently not able to persist on disk.',
    inScript('-MISCONF Errors writing to the AOF file: No space left on device'),
    "READONLY You can't write against a read only replica.",
    inScript("-READONLY You can't write against a read only replica."),
    'LOADING Redis is loading the dataset in memory',
    'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
    'NOREPLICAS Not enough good replicas to write.',
    inScript('-NOREPLICAS Not enough good replicas to write.'),
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    'TRYAGAIN Multiple keys request during rehashing of slot',
    'CLUSTERDOWN The cluster is down',
    'UNKILLABLE Sorry the script already executed write commands against the dataset.',
    'ERR max number of clients reached',
  ])('holds for the reply %s', (message) => {
    expect(isUnavailable(reply(message))).toBe(true);
    expect(findRefusal(reply(message))).toMatch(/^[A-Z]+$/);
    expect(message).toContain(findRefusal(reply(message)));
  });

  it.each([
    'ERR unknown command',
    'WRONGTYPE Operation against a key holding the wrong kind of value',
    'NOAUTH Authentication required.',
    'NOSCRIPT No matching script. Please use EVAL.',
    'BUSYGROUP Consumer Group name already exists',
    'EXECABORT Transaction discarded because of previous errors.',
    inScript('user_script:12: attempt to compare number with nil'),
  ])('does not hold for the reply %s', (message) => {
    expect(isUnavailable(reply(message))).toBe(false);
  });

  it('looks at what a transaction was given up for', () => {
    const aborted = 'EXECABORT Transaction discarded because of previous errors.';
    expect(isUnavailable(reply(aborted, [reply(OOM)]))).toBe(true);
    expect(findRefusal(reply(aborted, [reply(OOM)]))).toBe('OOM');
    expect(isUnavailable(reply(aborted, [reply('ERR unknown command')]))).toBe(false);
  });

  it.each(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EAI_AGAIN'])('holds for a socket with %s', (code) => {
    expect(isUnavailable(Object.assign(new Error('x'), { code }))).toBe(true);
  });

  it('holds for nothing that only speaks of it', () => {
    for (const other of [new Error(OOM), 'OOM', null, Object.assign(new Error('x'), { code: 'EACCES' })]) {
      expect(isUnavailable(other)).toBe(false);
    }
  });
});
