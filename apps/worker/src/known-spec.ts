import { z } from 'zod';
import { RuntimeFault } from './runtime/container-runtime.js';

/** What a container is made from. Other fields may be a later version's, and are left to it. */
const knownSpecSchema = z.object({
  image: z.string().min(1),
  command: z.union([z.string(), z.array(z.string())]),
  env: z.record(z.string(), z.string()),
  workdir: z.string(),
  cpus: z.number().positive(),
  memory_mb: z.number().int().positive(),
  timeout_seconds: z.number().int().positive(),
  stop_grace_seconds: z.number().int().min(0),
  network: z.enum(['none', 'egress']),
});

/**
 * A spec was checked when it was accepted, perhaps by another version than this worker's: a container without a limit that this one does
 * not find would have none. Throws RuntimeFault `start_failed`.
 */
export const requireKnownSpec = (spec: unknown): void => {
  const { error } = knownSpecSchema.safeParse(spec);
  if (error === undefined) return;
  const fields = [...new Set(error.issues.map(({ path }) => path[0] ?? 'all of it'))].join(', ');
  throw new RuntimeFault(
    'start_failed',
    `The worker does not understand what is recorded of the job (${fields}): it was submitted to another version of Berth. Submit it again.`,
  );
};
