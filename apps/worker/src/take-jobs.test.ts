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
  labels: {},
  region: 'default',
  datacenter: 'default',
  gpus: [],
  capacity: { centicpus: 100, memory_mb: 100, gpus: 0 },
};
const NONE: ClaimReply = { kind: 'none' };

/** A loop over one message that comes back whenever it is handed back, like the front of a queue, and ends with the consumer. */
const startLoop = (draw: () => Promise<ClaimReply>, room = createRoom(), gate = { passed: async () => {} }) => {
  const stopped = defer<undefined>();
  const ended: string[] = [];
  let inQueue = defer<Delivery>();
  let takes = 0;
  let open = true;
  const note = (what: string) => async (detail: BoardNote) => void ended.push(`${what} ${detail.state}`);
  const delivery: Delivery = {
    ticket: 'ticket-1',
    message: { job_id: 'job-1', image: '', command: '' },
    relabel: async (job_id) => void ended.push(`shows ${job_id}`),
    handBack: async () => {
      ended.push('handed back');
      inQueue = defer();
      inQueue.resolve(delivery);
    },
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
  const { claims } = createFakeClaims({ draw: vi.fn(draw) });
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
    const loop = startLoop(async () => NONE);
    await settle();
    for (let i = 0; i < 3; i += 1) await settle();
    expect(loop.claims.draw).toHaveBeenCalledTimes(1);
    expect(loop.ended).toEqual(['handed back']);
    loop.room.signal();
    await settle();
    expect(loop.claims.draw).toHaveBeenCalledTimes(2);
    await loop.stop();
    expect(loop.ran).toEqual([]);
  });

  it('does not miss room that was freed while it was being refused', async () => {
    const room = createRoom();
    let claims = 0;
    const loop = startLoop(async () => {
      claims += 1;
      if (claims === 1) room.signal();
      return claims === 1 ? NONE : { kind: 'claimed', claim: toClaim() };
    }, room);
    await settle();
    expect(loop.ran).toHaveLength(1);
    await loop.stop();
  });

  it('looks again after a while when the notice was lost', async () => {
    vi.useFakeTimers();
    try {
      const loop = startLoop(async () => NONE);
      await vi.advanceTimersByTimeAsync(LOOK_AGAIN_MS * 10 + 10);
      expect(loop.claims.draw).toHaveBeenCalledTimes(11);
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

  it('draws with the ticket of the message, and makes it show the job that it got', async () => {
    const claim = toClaim({ job_id: 'better' });
    const loop = startLoop(async () => ({ kind: 'claimed', claim }));
    await settle();
    expect(loop.claims.draw).toHaveBeenCalledWith('small', 'ticket-1', claimant);
    expect(loop.ended).toEqual(['shows better']);
    expect(loop.ran).toEqual([claim]);
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

  it('takes no message while the engine is away', async () => {
    const back = defer();
    const draw = async (): Promise<ClaimReply> => ({ kind: 'claimed', claim: toClaim() });
    const loop = startLoop(draw, createRoom(), { passed: () => back.promise });
    await settle();
    expect([loop.takes(), loop.ran]).toEqual([0, []]);
    back.resolve();
    await settle();
    expect(loop.ran).toHaveLength(1);
    await loop.stop();
  });
});
