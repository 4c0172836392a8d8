import { type Claims, LEASE_MS, type LeaseState } from '@berth/store';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createFakeClaims, createLogBook, defer, toClaim } from '../test/fakes.js';
import { keepLeases } from './leases.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const open = (renew: Claims['renew'] = async (held) => held.map((): LeaseState => 'held')) => {
  const spy = vi.fn(renew);
  const book = createLogBook();
  const leases = keepLeases(createFakeClaims({ renew: spy }).claims, book.log);
  return { leases, renew: spy, book };
};

const aQuarter = () => vi.advanceTimersByTimeAsync(LEASE_MS / 4);
const other = toClaim({ job_id: 'job-2' });
const orSilence = <T>(promise: Promise<T>) => Promise.race([promise, Promise.resolve('silence' as const)]);

describe('renewals', () => {
  it('are for all held leases at once, four times a lease, until they end', async () => {
    const { leases, renew } = open();
    const one = leases.hold(toClaim());
    leases.hold(other);
    await aQuarter();
    expect(renew).toHaveBeenLastCalledWith([toClaim(), other]);
    one.end();
    await aQuarter();
    expect(renew).toHaveBeenLastCalledWith([other]);
    leases.close();
    await aQuarter();
    expect(renew).toHaveBeenCalledTimes(2);
  });

  it('pass on what the record says', async () => {
    const { leases } = open(async () => ['cancel', 'over', 'moved', 'held']);
    const holds = ['a', 'b', 'c', 'd'].map((job_id) => leases.hold(toClaim({ job_id })));
    await aQuarter();
    expect(holds.map((hold) => hold.request)).toEqual(['cancel', 'over', undefined, undefined]);
    expect(holds.map((hold) => hold.leave)).toEqual([undefined, undefined, 'moved', undefined]);
    expect([await holds[1]?.requested, await holds[1]?.urgent, await holds[2]?.left]).toEqual([
      'over',
      'over',
      'moved',
    ]);
    leases.close();
  });

  it.each(['over', 'moved'] as const)('that come too late for a settled epoch say nothing: %s', async (state) => {
    const reply = defer<LeaseState[]>();
    const { leases } = open(() => reply.promise);
    const hold = leases.hold(toClaim());
    await aQuarter();
    hold.end();
    reply.resolve([state]);
    await aQuarter();
    expect([hold.request, hold.leave]).toEqual([undefined, undefined]);
    leases.close();
  });

  it('go on after one failed, and wait for one another', async () => {
    const reply = defer<LeaseState[]>();
    let calls = 0;
    const { leases, renew, book } = open(async () => {
      calls += 1;
      if (calls === 1) throw new Error('away');
      return reply.promise;
    });
    const hold = leases.hold(toClaim());
    await aQuarter();
    expect(book.find('could not renew leases')).toBe(1);
    await aQuarter();
    await aQuarter();
    await aQuarter();
    expect(renew).toHaveBeenCalledTimes(2);
    reply.resolve(['cancel']);
    await vi.advanceTimersByTimeAsync(0);
    expect(hold.request).toBe('cancel');
    leases.close();
  });
});

describe('the time of the last renewal', () => {
  it('is when it was sent, not when it was answered, and stays where none succeeds', async () => {
    const replies = [defer<LeaseState[]>(), defer<LeaseState[]>()];
    let calls = 0;
    const { leases } = open(() => (replies[calls++] as (typeof replies)[number]).promise);
    const began = performance.now();
    leases.hold(toClaim());
    expect(leases.renewedAt).toBe(began);
    await aQuarter();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(leases.renewedAt).toBe(began);
    replies[0]?.resolve(['held']);
    await vi.advanceTimersByTimeAsync(0);
    expect(leases.renewedAt).toBe(began + LEASE_MS / 4);
    await aQuarter();
    replies[1]?.reject(new Error('away'));
    await vi.advanceTimersByTimeAsync(0);
    expect(leases.renewedAt).toBe(began + LEASE_MS / 4);
    leases.close();
  });

  it('begins with the first lease of a worker that held none', async () => {
    let answers = false;
    const { leases } = open(async (held) => {
      if (!answers && held.length > 0) throw new Error('away');
      return held.map(() => 'held');
    });
    const hold = leases.hold(toClaim());
    await vi.advanceTimersByTimeAsync(60_000);
    expect(performance.now() - leases.renewedAt).toBe(60_000);
    hold.end();
    answers = true;
    leases.hold(other);
    expect(leases.renewedAt).toBe(performance.now());
    leases.hold(toClaim());
    await vi.advanceTimersByTimeAsync(1_000);
    expect(performance.now() - leases.renewedAt).toBe(1_000);
    leases.close();
  });
});

describe('a confirmation', () => {
  it.each([
    ['held', undefined, undefined],
    ['cancel', 'cancel', undefined],
    ['over', 'over', undefined],
    ['moved', undefined, 'moved'],
  ] as const)('asks for this one alone, and tells it: %s', async (state, request, leave) => {
    const { leases, renew } = open(async () => [state]);
    const hold = leases.hold(toClaim());
    leases.hold(other);
    await leases.confirm(hold);
    expect(renew.mock.calls).toEqual([[[toClaim()]]]);
    expect([hold.request, hold.leave]).toEqual([request, leave]);
    leases.close();
  });

  it('says nothing of the others, so the time of the last renewal stays', async () => {
    const { leases } = open();
    const hold = leases.hold(toClaim());
    const began = performance.now();
    await vi.advanceTimersByTimeAsync(1_000);
    await leases.confirm(hold);
    expect(leases.renewedAt).toBe(began);
    leases.close();
  });

  it('asks again where the broker refuses for now, and throws what is no trouble of the broker', async () => {
    const full = Object.assign(new Error('MISCONF Redis is configured to save RDB snapshots'), { name: 'ReplyError' });
    let calls = 0;
    const { leases } = open(async () => {
      calls += 1;
      if (calls < 3) throw full;
      if (calls > 3) throw new Error('ERR no such thing');
      return ['cancel'];
    });
    const hold = leases.hold(toClaim());
    const confirmed = leases.confirm(hold);
    await vi.advanceTimersByTimeAsync(1_100);
    await confirmed;
    expect([calls, hold.request]).toEqual([3, 'cancel']);
    await expect(leases.confirm(hold)).rejects.toThrow('no such thing');
    leases.close();
  });
});

describe('requests', () => {
  it('are decided by the first; over overrules', async () => {
    const { leases } = open();
    const hold = leases.hold(toClaim());
    hold.ask('timeout');
    hold.ask('cancel');
    expect([hold.request, await hold.requested]).toEqual(['timeout', 'timeout']);
    hold.ask('over');
    hold.ask('cancel');
    expect([hold.request, await hold.requested, await hold.urgent]).toEqual(['over', 'timeout', 'over']);
    leases.close();
  });

  it('to release reach what is held and what will be, and are urgent', async () => {
    const { leases } = open();
    const before = leases.hold(toClaim());
    before.ask('cancel');
    leases.releaseAll();
    const after = leases.hold(other);
    expect([before.request, after.request]).toEqual(['cancel', 'release']);
    expect(await Promise.all([before.urgent, after.urgent])).toEqual(['release', 'release']);
    leases.close();
  });

  it('to cancel are remembered for a claim whose reply is still under way, but not for long', async () => {
    const { leases } = open();
    leases.cancel('job-1');
    expect(leases.hold(toClaim()).request).toBe('cancel');
    leases.cancel('job-2');
    await vi.advanceTimersByTimeAsync(11_000);
    leases.cancel('job-3');
    expect(leases.hold(other).request).toBeUndefined();
    leases.close();
  });

  it('of an older epoch of the same job: it is over', () => {
    const { leases } = open();
    const older = leases.hold(toClaim());
    const newer = leases.hold(toClaim({ epoch: 2 }));
    expect([older.request, newer.request]).toEqual(['over', undefined]);
    older.end();
    expect(leases.find('job-1')).toBe(newer);
    leases.close();
  });
});

describe('what is left to others', () => {
  it('is all that is held, and all that will be', async () => {
    const { leases } = open();
    const before = leases.hold(toClaim());
    leases.letGoAll();
    const after = leases.hold(other);
    expect([before.leave, after.leave, await before.left, await after.left]).toEqual(Array(4).fill('let_go'));
    expect([before.request, after.request]).toEqual([undefined, undefined]);
    leases.close();
  });

  it('and has moved meanwhile, has moved; what has moved is not let go', () => {
    const { leases } = open();
    const [a, b] = [leases.hold(toClaim()), leases.hold(other)];
    a.leaveIt('let_go');
    a.leaveIt('moved');
    b.leaveIt('moved');
    b.leaveIt('let_go');
    expect([a.leave, b.leave]).toEqual(['moved', 'moved']);
    leases.close();
  });

  it('and comes back under the same epoch is left by its former attempt, and the container runs on', async () => {
    const { leases } = open();
    const former = leases.hold(toClaim());
    const present = leases.hold(toClaim());
    expect([former.request, former.leave, await former.left]).toEqual([undefined, 'moved', 'moved']);
    expect([present.request, present.leave]).toEqual([undefined, undefined]);
    former.end();
    expect(leases.find('job-1')).toBe(present);
    leases.close();
  });

  it('is everything once the worker is closed, without a word', async () => {
    const { leases } = open();
    const hold = leases.hold(toClaim());
    leases.close();
    expect([hold.leave, hold.request]).toEqual(['moved', undefined]);
    expect([await orSilence(hold.left), await orSilence(hold.requested)]).toEqual(['silence', 'silence']);
  });
});
