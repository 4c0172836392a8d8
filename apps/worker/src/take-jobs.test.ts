import type { BoardNote, Consumer, Delivery } from '@berth/queue';
import type { Claim, Claimant, ClaimReply } from '@berth/store';
import { describe, expect, it, vi } from 'vitest';
import { createFakeClaims, createLogBook, defer, toClaim } from '../test/fakes.js';
import { createRoom, LOOK_AGAIN_MS } from './room.js';
import { takeJobs } from './take-jobs.js';

const claimant: Claimant = {
  worker: 'w',
  engine: 'e',
  node: 'node-1',
  capacity: { centicpus: 100, memory_mb: 100, gpus: 0 },
};
const NO_ROOM: ClaimReply = { kind: 'no_room', ask: { centicpus: 1, memory_mb: 6, gpus: 0 } };

/** A loop over one message that comes back whenever it is handed back, like the front of a queue, and ends with the consumer. */
const startLoop = (claim: () => Promise<ClaimReply>, room = createRoom(), gate = { passed: async () => {} }) => {
  const stopped = defer<undefined>();
  const ended: string[] = [];
  let inQueue = defer<Delivery>();
  let takes = 0;
  let open = true;
  const note = (what: string) => async (detail?: BoardNote | number) => {
    ended.push(typeof detail === 'object' ? `${what} ${detail.state}` : what);
  };
  const delivery: Delivery = {
    message: { job_id: 'job-1', image: '', command: '' },
    handBack: async () => {
      ended.push('handed back');
      inQueue = defer();
      inQueue.resolve(delivery);
    },
    postpone: note('postponed'),
    complete: note('completed'),
    fail: note('failed'),
  };
  inQueue.resolve(delivery);
  const consumer: Consumer = {
    async take() {
      takes += 1;
      const next = inQueue.promise;
      const taken = open ? await Promise.race([next, stopped.promise]) : undefined;
      inQueue = inQueue.promise === next ? defer() : inQueue;
      return taken;
    },
    stopTaking: () => {
      open = false;
      stopped.resolve(undefined);
    },
    close: async () => {},
  };
  const { claims } = createFakeClaims({ claim: vi.fn(claim) });
  const ran: Claim[] = [];
  const book = createLogBook();
  const run = async (one: Claim) => void ran.push(one);
  const options = { className: 'small', consumer, claims, claimant, room, gate, run, log: book.log };
  const loop = takeJobs({ ...options, onWentBack: (at) => void ended.push(`went back ${at}`) });
  const stop = async () => {
    consumer.stopTaking();
    room.close();
    await loop;
  };
  return { claims, room, ended, ran, book, stop, takes: () => takes };
};

const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('takeJobs', () => {
  it('runs what it claimed and goes on to the next message while that runs', async () => {
    const claim = toClaim();
    const loop = startLoop(async () => ({ kind: 'claimed', claim }));
    await settle();
    expect(loop.ran).toEqual([claim]);
    expect(loop.takes()).toBe(2);
    expect(loop.ended).toEqual([]);
    await loop.stop();
  });

  it('hands a message back and looks again once for each signal, and never by itself before', async () => {
    const loop = startLoop(async () => NO_ROOM);
    await settle();
    for (let i = 0; i < 3; i += 1) await settle();
    expect(loop.claims.claim).toHaveBeenCalledTimes(1);
    expect(loop.ended).toEqual(['handed back']);
    loop.room.signal();
    await settle();
    expect(loop.claims.claim).toHaveBeenCalledTimes(2);
    await loop.stop();
    expect(loop.ran).toEqual([]);
  });

  it('does not miss room that was freed while it was being refused', async () => {
    const room = createRoom();
    let claims = 0;
    const loop = startLoop(async () => {
      claims += 1;
      if (claims === 1) room.signal();
      return claims === 1 ? NO_ROOM : { kind: 'claimed', claim: toClaim() };
    }, room);
    await settle();
    expect(loop.ran).toHaveLength(1);
    await loop.stop();
  });

  it('looks again after a while when the notice was lost', async () => {
    vi.useFakeTimers();
    try {
      const loop = startLoop(async () => NO_ROOM);
      await vi.advanceTimersByTimeAsync(LOOK_AGAIN_MS * 10 + 10);
      expect(loop.claims.claim).toHaveBeenCalledTimes(11);
      await loop.stop();
    } finally {
      vi.useRealTimers();
    }
  });

  it('hands a message back to a broker that has gone back, and tells of it before it asks at the gate again', async () => {
    let shut: Promise<void> | undefined;
    const seen = defer();
    const loop = startLoop(
      async () => {
        if (shut !== undefined) return { kind: 'claimed', claim: toClaim() };
        shut = seen.promise;
        return { kind: 'went_back', at: 7 };
      },
      createRoom(),
      { passed: async () => shut },
    );
    for (let i = 0; i < 3; i += 1) await settle();
    expect([loop.ended, loop.ran]).toEqual([['went back 7', 'handed back'], []]);
    seen.resolve();
    await settle();
    expect(loop.ran).toHaveLength(1);
    await loop.stop();
  });

  it('postpones a job that is too big for this machine', async () => {
    const loop = startLoop(async () => ({ kind: 'too_big' }));
    await settle();
    expect(loop.ended).toEqual(['postponed']);
    await loop.stop();
  });

  it('ends the message of a job that there is nothing to do for', async () => {
    const loop = startLoop(async () => ({ kind: 'gone', state: 'cancelled' }));
    await settle();
    expect(loop.ended).toEqual(['completed cancelled']);
    await loop.stop();
  });

  it('fails a message of a job that there is not, so that it stands on the board', async () => {
    const loop = startLoop(async () => ({ kind: 'gone', state: 'missing' }));
    await settle();
    expect(loop.ended).toEqual(['failed missing']);
    await loop.stop();
  });

  it('outlives a claim that throws: logged, handed back, and tried again, but not at once', async () => {
    let claims = 0;
    const loop = startLoop(async () => {
      claims += 1;
      if (claims === 1) throw new Error('LOADING');
      return { kind: 'claimed', claim: toClaim() };
    });
    await settle();
    expect(loop.ended).toEqual(['handed back']);
    expect(loop.book.find('could not claim a job')).toBe(1);
    await settle();
    expect(claims).toBe(1);
    loop.room.signal();
    await settle();
    expect(loop.ran).toHaveLength(1);
    await loop.stop();
  });

  it('waits for its turn while another class has waited too long', async () => {
    const turn = { mine: false };
    const room = { ...createRoom(), isTurnOf: () => turn.mine };
    const loop = startLoop(async () => ({ kind: 'claimed', claim: toClaim() }), room);
    await settle();
    expect(loop.takes()).toBe(0);
    turn.mine = true;
    room.signal();
    await settle();
    expect(loop.ran).toHaveLength(1);
    await loop.stop();
  });

  it('takes no message while the engine is away', async () => {
    const back = defer();
    const claim = async (): Promise<ClaimReply> => ({ kind: 'claimed', claim: toClaim() });
    const loop = startLoop(claim, createRoom(), { passed: () => back.promise });
    await settle();
    expect([loop.takes(), loop.ran]).toEqual([0, []]);
    back.resolve();
    await settle();
    expect(loop.ran).toHaveLength(1);
    await loop.stop();
  });
});
