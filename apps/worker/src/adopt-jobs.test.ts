import type { Adoption } from '@berth/store';
import { describe, expect, it } from 'vitest';
import { createLogBook, defer, toAdoption, toClaim } from '../test/fakes.js';
import { createAdoption } from './adopt-jobs.js';

const claimant = {
  worker: 'w',
  engine: 'e',
  node: 'n',
  labels: {},
  region: 'default',
  datacenter: 'default',
  gpus: [],
  capacity: { centicpus: 1, memory_mb: 1, gpus: 0 },
};

/** Adopts what `orphans` holds at the time; `taken` go to others first, `broken` throw. */
const open = ({ taken = [], broken = [] }: { taken?: string[]; broken?: string[] } = {}) => {
  const orphans: string[] = [];
  const asked: string[] = [];
  const ran: string[] = [];
  const held = new Set<string>();
  const world = { open: true, looks: 0, before: async (_what: string): Promise<void> => {} };
  const book = createLogBook();
  const adoption = createAdoption({
    adoptions: {
      findOrphans: async () => {
        world.looks += 1;
        const found = [...orphans];
        await world.before('look');
        return found;
      },
      adopt: async (job_id): Promise<Adoption | undefined> => {
        asked.push(job_id);
        await world.before(job_id);
        if (broken.includes(job_id)) throw new Error('a record that cannot be read');
        return taken.includes(job_id) ? undefined : toAdoption({}, toClaim({ job_id }));
      },
    },
    claimant,
    run: ({ claim }) => void ran.push(claim.job_id),
    isHeld: (job_id) => held.has(job_id),
    isOpen: () => world.open,
    log: book.log,
  });
  return { adoption, orphans, asked, ran, held, world, book };
};

describe('a pass', () => {
  it('leaves alone what this worker runs', async () => {
    const { adoption, orphans, held, asked } = open();
    orphans.push('a', 'b');
    held.add('a');
    await adoption.pass();
    expect(asked).toEqual(['b']);
  });

  it('runs what it adopted, and not what others were faster to adopt', async () => {
    const { adoption, orphans, ran, asked } = open({ taken: ['b'] });
    orphans.push('a', 'b', 'c');
    await adoption.pass();
    expect([asked, ran]).toEqual([
      ['a', 'b', 'c'],
      ['a', 'c'],
    ]);
  });

  it('that is asked for while one runs follows it, once for all who asked', async () => {
    const { adoption, orphans, ran, world } = open();
    const looked = defer();
    world.before = () => looked.promise;
    const first = adoption.pass();
    orphans.push('late');
    const second = adoption.pass();
    const third = adoption.pass();
    looked.resolve();
    await Promise.all([first, second, third]);
    expect([ran, world.looks]).toEqual([['late'], 2]);
    await adoption.pass();
    expect(world.looks).toBe(3);
  });

  it('goes on after a job that cannot be adopted', async () => {
    const { adoption, orphans, ran, book } = open({ broken: ['a'] });
    orphans.push('a', 'b');
    await adoption.pass();
    expect(ran).toEqual(['b']);
    expect(book.find('could not adopt a job')).toBe(1);
  });

  it('that cannot look rejects nothing, and the next one looks again', async () => {
    const { adoption, orphans, ran, world, book } = open();
    orphans.push('a');
    world.before = async () => {
      throw new Error('OOM');
    };
    await adoption.pass();
    expect(book.find('could not look for jobs to adopt')).toBe(1);
    world.before = async () => {};
    await adoption.pass();
    expect(ran).toEqual(['a']);
  });

  it('takes on nothing more once the worker stops, not even what it was about to ask for', async () => {
    const { adoption, orphans, asked, ran, world } = open();
    orphans.push('a', 'b');
    world.before = async (what) => {
      if (what === 'a') world.open = false;
    };
    await adoption.pass();
    expect([asked, ran]).toEqual([['a'], ['a']]);
    await adoption.pass();
    expect(asked).toEqual(['a']);
  });
});
