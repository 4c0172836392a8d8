import { z } from 'zod';
import { clip, fits, LEAST_ASK, type Resources, toCenticpus } from './resources.js';

/** How a class's containers are locked down: see `docs/architecture.md`, "Containers". */
const profileSchema = z.enum(['standard', 'strict']);
export type Profile = z.infer<typeof profileSchema>;

/** A named shape with its own queue: the largest job that the class takes. Slurm's partition. */
const resourceClassSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,31}$/, 'must be a lower-case word of at most 32 letters, digits and dashes'),
  max_cpus: z.number().min(0.01).max(1024),
  max_memory_mb: z.number().int().min(LEAST_ASK.memory_mb).max(16_777_216),
  max_gpus: z.number().int().min(0).max(64).default(0),
  profile: profileSchema.default('standard'),
  /** The more urgent job goes first whoever's it is. Otherwise users take turns, and priority orders each user's own jobs. */
  priority_across_users: z.boolean().default(false),
});
export type ResourceClass = z.infer<typeof resourceClassSchema>;

/** Smallest first: a job goes to the first class that holds it. */
export const resourceClassesSchema = z
  .array(resourceClassSchema)
  .min(1, 'must name at least one class')
  .refine((classes) => new Set(classes.map((c) => c.name)).size === classes.length, 'must not name a class twice');

export const DEFAULT_CLASSES: ResourceClass[] = [
  { name: 'small', max_cpus: 1, max_memory_mb: 1024, max_gpus: 0, profile: 'standard', priority_across_users: false },
  { name: 'medium', max_cpus: 4, max_memory_mb: 8192, max_gpus: 0, profile: 'standard', priority_across_users: false },
  {
    name: 'large',
    max_cpus: 16,
    max_memory_mb: 65_536,
    max_gpus: 0,
    profile: 'standard',
    priority_across_users: false,
  },
  { name: 'gpu', max_cpus: 64, max_memory_mb: 524_288, max_gpus: 8, profile: 'standard', priority_across_users: false },
];

const toClassLimits = (c: ResourceClass): Resources => ({
  centicpus: toCenticpus(c.max_cpus),
  memory_mb: c.max_memory_mb,
  gpus: c.max_gpus,
});

/** A class with GPUs is only for jobs that ask for one, however large a job without one is. */
const holds = (c: ResourceClass, ask: Resources): boolean =>
  fits(ask, toClassLimits(c)) && c.max_gpus > 0 === ask.gpus > 0;

/** The smallest class that holds the ask, or undefined where none does. */
export const findClass = (classes: ResourceClass[], ask: Resources): ResourceClass | undefined =>
  classes.find((c) => holds(c, ask));

/**
 * Whether a machine could hold at least one job of the class. The machine's share of the class's largest job is itself
 * a job; if that one belongs to a smaller class, every job of this class is too big for the machine.
 */
export const canServe = (classes: ResourceClass[], c: ResourceClass, capacity: Resources): boolean => {
  const share = clip(toClassLimits(c), capacity);
  return fits(LEAST_ASK, share) && findClass(classes, share) === c;
};
