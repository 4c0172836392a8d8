import type { Resources } from '@berth/domain';
import type { Reservation } from './evidence.js';

const FIELDS = ['centicpus', 'memory_mb', 'gpus'] as const;

const toText = (resources: Resources): string => FIELDS.map((field) => `${resources[field]} ${field}`).join(', ');
const isEqual = (a: Resources, b: Resources): boolean => FIELDS.every((field) => a[field] === b[field]);

/** I7: an engine's ledger says what its running jobs ask for, never more than the machine has, and nothing at rest. */
export const checkReserved = (reservations: Reservation[], settled: boolean): string[] =>
  reservations.flatMap(({ engine, ledger, jobs, capacity }) => {
    const problems: string[] = [];
    if (!isEqual(ledger, jobs))
      problems.push(`engine ${engine} has reserved ${toText(ledger)}; its jobs ask for ${toText(jobs)}`);
    if (settled && FIELDS.some((field) => ledger[field] !== 0))
      problems.push(`engine ${engine} still has reserved ${toText(ledger)}`);
    if (FIELDS.some((field) => ledger[field] < 0))
      problems.push(`engine ${engine} has reserved less than nothing: ${toText(ledger)}`);
    if (capacity && FIELDS.some((field) => ledger[field] > capacity[field]))
      problems.push(`engine ${engine} has reserved ${toText(ledger)} of ${toText(capacity)}`);
    return problems;
  });
