import { jobSpecSchema, type Outcome } from '@berth/domain';
import type { Claim, Claims, Settlement } from '@berth/store';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createLogBook, toClaim } from '../test/fakes.js';
import { createHold } from './hold.js';
import { settleAttempt, toSettlement } from './settle-attempt.js';

const END = { evidence: null, node: 'n', image_digest: null, released: false, chance: 0.5 };

const settle = (spec: object, outcome: Outcome, attempt = 1) => {
  const claim = { attempt, spec: jobSpecSchema.parse({ command: 'x', ...spec }) } as unknown as Claim;
  const entry = { ...END, outcome };
  const { type, cause, delay_ms } = toSettlement({ claim }, entry);
  return { type, cause, delay_ms };
};

const failed: Outcome = { kind: 'exited', exit_code: 1 };
const unknownImage: Outcome = { kind: 'image_not_found', message: 'no such image' };

describe('toSettlement', () => {
  it('follows the policy of the spec: how often, for which causes, and after which pause', () => {
    const retry = { max_attempts: 3, on: ['image_not_found'], backoff_seconds: 10, max_backoff_seconds: 15 };
    expect(settle({ retry }, unknownImage)).toEqual({ type: 'retried', cause: 'image_not_found', delay_ms: 7_500 });
    expect(settle({ retry }, unknownImage, 2)).toMatchObject({ type: 'retried', delay_ms: 11_250 });
    expect(settle({ retry }, unknownImage, 3)).toEqual({ type: 'failed', cause: 'image_not_found', delay_ms: 0 });
    expect(settle({ retry }, failed)).toEqual({ type: 'failed', cause: 'exit_code', delay_ms: 0 });
  });

  it('takes the short form, also from a record that an older version wrote', () => {
    expect(settle({ max_attempts: 2 }, failed)).toMatchObject({ type: 'retried', delay_ms: 750 });
    const claim = { attempt: 1, spec: { command: 'x', max_attempts: 2 } } as unknown as Claim;
    const entry = { ...END, outcome: failed };
    expect(toSettlement({ claim }, entry)).toMatchObject({
      type: 'retried',
      delay_ms: 750,
    });
  });

  it('gives back what was released, unless it completed all the same', () => {
    const claim = toClaim();
    const give = (outcome: Outcome) => toSettlement({ claim }, { ...END, released: true, outcome });
    expect(give({ kind: 'exited', exit_code: 0 })).toMatchObject({ type: 'completed', exit_code: 0 });
    const zero: Outcome = { kind: 'exited', exit_code: 0 };
    const afterStop = { ...END, released: true, stopped: true, outcome: zero };
    expect(toSettlement({ claim }, afterStop)).toMatchObject({ type: 'released', exit_code: null });
    expect(give({ kind: 'exited', exit_code: 143 })).toMatchObject({ type: 'released', cause: null, exit_code: null });
    expect(give({ kind: 'engine_restarted', message: 'away' })).toMatchObject({ type: 'released', message: 'away' });
  });

  it('keeps the evidence', () => {
    const evidence = {
      exit_code: 137,
      signal: 'SIGKILL',
      oom_kills: 1,
      oom_flag: false,
      memory_peak_bytes: 1,
      asked_by: null,
    };
    const outcome: Outcome = { kind: 'out_of_memory', exit_code: 137 };
    expect(toSettlement({ claim: toClaim() }, { ...END, evidence, outcome }).entry.evidence).toEqual(evidence);
  });
});

describe('settleAttempt', () => {
  const settlement = { type: 'completed' } as Settlement;
  const full = Object.assign(new Error("OOM command not allowed when used memory > 'maxmemory'."), {
    name: 'ReplyError',
  });

  const open = (settle: Claims['settle']) => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const state = { closed: false };
    const spy = vi.fn(settle);
    const hold = createHold(
      toClaim(),
      () => state.closed,
      () => {},
    );
    const book = createLogBook();
    return {
      hold,
      state,
      book,
      spy,
      write: () => settleAttempt(hold, settlement, { claims: { settle: spy }, log: book.log }),
    };
  };

  it('gives what the record says, also that the epoch is not ours any more', async () => {
    const { write, spy } = open(async () => ({ kind: 'stale', state: 'running' }));
    expect(await write()).toEqual({ kind: 'stale', state: 'running' });
    expect(spy).toHaveBeenCalledExactlyOnceWith(toClaim(), settlement);
  });

  it('writes again for as long as the broker cannot write', async () => {
    let tries = 0;
    const { write, book } = open(async () => {
      tries += 1;
      if (tries < 4) throw full;
      return { kind: 'settled', state: 'completed' };
    });
    const written = write();
    await vi.advanceTimersByTimeAsync(1_600);
    expect(await written).toEqual({ kind: 'settled', state: 'completed' });
    expect([tries, book.find('could not write how the attempt ended')]).toEqual([4, 3]);
  });

  it.each(['over', 'moved', 'closed'] as const)('writes no more once it is %s', async (what) => {
    const { write, hold, state, spy } = open(async () => {
      throw full;
    });
    const written = write();
    await vi.advanceTimersByTimeAsync(100);
    if (what === 'over') hold.ask('over');
    if (what === 'moved') hold.leaveIt('moved');
    if (what === 'closed') state.closed = true;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await written).toBeUndefined();
    expect(spy).toHaveBeenCalledTimes(1);
  });

  it('still writes what ended while the worker was shutting down', async () => {
    const { write, hold } = open(async () => ({ kind: 'settled', state: 'completed' }));
    hold.leaveIt('let_go');
    expect(await write()).toEqual({ kind: 'settled', state: 'completed' });
  });

  it('throws what is no trouble of the broker', async () => {
    const { write } = open(async () => {
      throw new Error('ERR wrong number of arguments');
    });
    await expect(write()).rejects.toThrow('wrong number');
  });
});
