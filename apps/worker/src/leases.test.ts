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
    const { leases } = open(async () => ['cancel', 'lost', 'held']);
    const holds = ['a', 'b', 'c'].map((job_id) => leases.hold(toClaim({ job_id })));
    await aQuarter();
    expect(holds.map((hold) => hold.request)).toEqual(['cancel', 'lost', undefined]);
    expect(await holds[1]?.requested).toBe('lost');
    expect(await holds[1]?.urgent).toBe('lost');
    leases.close();
  });

  it('that come too late for a settled epoch say nothing', async () => {
    const reply = defer<LeaseState[]>();
    const { leases } = open(() => reply.promise);
    const hold = leases.hold(toClaim());
    await aQuarter();
    hold.end();
    reply.resolve(['lost']);
    await aQuarter();
    expect(hold.request).toBeUndefined();
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

describe('requests', () => {
  it('are decided by the first; lost overrules', async () => {
    const { leases } = open();
    const hold = leases.hold(toClaim());
    hold.ask('timeout');
    hold.ask('cancel');
    expect([hold.request, await hold.requested]).toEqual(['timeout', 'timeout']);
    hold.ask('lost');
    hold.ask('cancel');
    expect([hold.request, await hold.requested, await hold.urgent]).toEqual(['lost', 'timeout', 'lost']);
    leases.close();
  });

  it('to release reach what is held and what will be', () => {
    const { leases } = open();
    const before = leases.hold(toClaim());
    leases.releaseAll();
    expect([before.request, leases.hold(other).request]).toEqual(['release', 'release']);
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

  it('of an older epoch of the same job: it is lost', () => {
    const { leases } = open();
    const older = leases.hold(toClaim());
    const newer = leases.hold(toClaim({ epoch: 2 }));
    expect([older.request, newer.request]).toEqual(['lost', undefined]);
    older.end();
    expect(leases.find('job-1')).toBe(newer);
    leases.close();
  });

  it('do not matter once the worker is closed: everything is lost, without a word', async () => {
    const { leases } = open();
    const hold = leases.hold(toClaim());
    leases.close();
    expect(hold.request).toBe('lost');
    const silent = await Promise.race([hold.requested, Promise.resolve('silent')]);
    expect(silent).toBe('silent');
  });
});
