import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canServe, DEFAULT_CLASSES, findClass, type ResourceClass, resourceClassesSchema } from './resource-class.js';
import { clip, fits, minus, plus, type Resources, toCenticpus } from './resources.js';

const ask = (cpus: number, memory_mb: number, gpus = 0): Resources => ({
  centicpus: toCenticpus(cpus),
  memory_mb,
  gpus,
});
const nameOf = (resources: Resources) => findClass(DEFAULT_CLASSES, resources)?.name;

describe('findClass', () => {
  it.each([
    [ask(1, 1024), 'small'],
    [ask(1.01, 1024), 'medium'],
    [ask(0.01, 1025), 'medium'],
    [ask(4, 8192), 'medium'],
    [ask(16, 65_536), 'large'],
    [ask(16.01, 6), undefined],
    [ask(1, 256, 1), 'gpu'],
    [ask(64, 524_288, 8), 'gpu'],
    [ask(1, 256, 9), undefined],
    [ask(32, 256), undefined],
  ])('%j → %s', (resources, name) => {
    expect(nameOf(resources)).toBe(name);
  });
});

describe('canServe', () => {
  const served = (capacity: Resources) =>
    DEFAULT_CLASSES.filter((c) => canServe(DEFAULT_CLASSES, c, capacity)).map((c) => c.name);

  it.each([
    [ask(2, 8000), ['small', 'medium']],
    [ask(1, 1024), ['small']],
    [ask(1, 2048), ['small', 'medium']],
    [ask(64, 1024), ['small', 'medium', 'large']],
    [ask(64, 262_144, 2), ['small', 'medium', 'large', 'gpu']],
  ])('a machine of %j', (capacity, names) => {
    expect(served(capacity)).toEqual(names);
  });

  /** Grids of hundredths of a CPU × MB, from the least that a job can ask for. */
  const LEAST = { centicpus: 1, memory_mb: 6 };
  const SIDE = 4;
  const classOf = fc.record({
    cpus: fc.integer({ min: 0, max: SIDE - 1 }),
    memory: fc.integer({ min: 0, max: SIDE - 1 }),
    max_gpus: fc.integer({ min: 0, max: 2 }),
  });
  const classesOf = fc.array(classOf, { minLength: 1, maxLength: 5 }).map((shapes) =>
    shapes.map(
      ({ cpus, memory, max_gpus }, i): ResourceClass => ({
        name: `c${i}`,
        max_cpus: (LEAST.centicpus + cpus) / 100,
        max_memory_mb: LEAST.memory_mb + memory,
        max_gpus,
        profile: 'standard',
        priority_across_users: false,
      }),
    ),
  );
  const capacityOf = fc.record({
    centicpus: fc.integer({ min: 0, max: LEAST.centicpus + SIDE }),
    memory_mb: fc.integer({ min: 0, max: LEAST.memory_mb + SIDE }),
    gpus: fc.integer({ min: 0, max: 3 }),
  });
  const everyJob: Resources[] = [];
  for (let c = 0; c < SIDE; c++)
    for (let m = 0; m < SIDE; m++)
      for (let gpus = 0; gpus <= 2; gpus++)
        everyJob.push({ centicpus: LEAST.centicpus + c, memory_mb: LEAST.memory_mb + m, gpus });

  it('is true exactly where some job of the class fits the machine', () => {
    fc.assert(
      fc.property(classesOf, capacityOf, (classes, capacity) => {
        for (const c of classes) {
          const some = everyJob.some((job) => findClass(classes, job) === c && fits(job, capacity));
          expect(canServe(classes, c, capacity)).toBe(some);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('classes from a file', () => {
  it('takes the default ones', () => {
    expect(resourceClassesSchema.parse(DEFAULT_CLASSES)).toEqual(DEFAULT_CLASSES);
  });

  it.each([
    [[]],
    [[DEFAULT_CLASSES[0], DEFAULT_CLASSES[0]]],
    [[{ ...DEFAULT_CLASSES[0], name: 'a:b' }]],
    [[{ ...DEFAULT_CLASSES[0], name: '{x}' }]],
    [[{ ...DEFAULT_CLASSES[0], max_memory_mb: 5 }]],
    [[{ ...DEFAULT_CLASSES[0], max_cpus: 0 }]],
    [[{ ...DEFAULT_CLASSES[0], privileged: true }]],
  ])('refuses %j', (classes) => {
    expect(resourceClassesSchema.safeParse(classes).success).toBe(false);
  });
});

describe('vectors', () => {
  it('count CPUs in hundredths, so that sums do not drift', () => {
    const sum = plus(ask(0.1, 1), ask(0.2, 2));
    expect(sum).toEqual(ask(0.3, 3));
    expect(minus(sum, ask(0.2, 2))).toEqual(ask(0.1, 1));
    expect(toCenticpus(1.15)).toBe(115);
  });

  it('clip gives the largest vector that both hold', () => {
    const part = clip(ask(4, 100, 2), ask(2, 200, 0));
    expect(part).toEqual(ask(2, 100, 0));
    expect(fits(part, ask(4, 100, 2)) && fits(part, ask(2, 200, 0))).toBe(true);
  });
});
