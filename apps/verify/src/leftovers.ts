import type { Leftovers } from './evidence.js';

/** I8: at rest nothing is left of any job but its record. */
export const checkLeftovers = ({ containers, leases, queued, waiting, counted }: Leftovers): string[] => [
  ...containers.map((name) => `container ${name} is left`),
  ...leases.map((job_id) => `${job_id} still has a lease`),
  ...queued.map((job_id) => `${job_id} is still in a queue`),
  ...waiting.map((job_id) => `${job_id} still waits for a time to come`),
  ...counted.map((text) => `${text} is still counted`),
];
