import { toLaterUsage } from '@berth/domain';
import type { Claims } from '@berth/store';
import type { Logger } from 'pino';
import type { Hold } from './hold.js';
import type { Leases } from './leases.js';

const SAMPLE_MS = 5_000;
/** A look costs about a millisecond of a CPU: where many run, each is looked at less often, and all together 50 times a second at most. */
const SAMPLE_MS_EACH = 20;
/** The first look comes soon, as most jobs are short. */
const TICK_MS = 500;
/** So many containers are looked at at once, however many run. */
const AT_ONCE = 4;
/** So many samples go into one script. */
const BATCH = 200;

interface UsageSampler {
  close(): void;
}

interface UsageSamplerOptions {
  leases: Pick<Leases, 'all'>;
  claims: Pick<Claims, 'noteUsage'>;
  log: Logger;
}

/** Looks at one container and keeps what it sees on the hold, from where it goes into the record with the end. */
const lookAt = async (hold: Hold): Promise<boolean> => {
  const usage = await hold.container?.readUsage();
  if (usage === undefined) return false;
  hold.usage = toLaterUsage(hold.usage, usage);
  return true;
};

const lookAtAll = async (holds: Hold[]): Promise<Hold[]> => {
  const seen: Hold[] = [];
  const rest = [...holds];
  const lane = async (): Promise<void> => {
    for (let hold = rest.shift(); hold !== undefined; hold = rest.shift()) if (await lookAt(hold)) seen.push(hold);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  return seen;
};

/**
 * Looks at what each running container has used, soon after its start and every few seconds from then on, and tells the record. A pass begins
 * when the one before is over, so a slow engine is asked less often and never more. What it sees is news: what the broker does not take is lost.
 */
export const startUsageSampler = ({ leases, claims, log }: UsageSamplerOptions): UsageSampler => {
  const looked = new WeakMap<Hold, number>();
  const isDue = (hold: Hold, before: number): boolean =>
    hold.container !== undefined && (looked.get(hold) ?? Number.NEGATIVE_INFINITY) <= before;

  const pass = async (): Promise<void> => {
    const now = performance.now();
    const all = leases.all();
    const period = Math.max(SAMPLE_MS, all.length * SAMPLE_MS_EACH);
    const due = all.filter((hold) => isDue(hold, now - period));
    for (const hold of due) looked.set(hold, now);
    const seen = await lookAtAll(due);
    // What was not there to be looked at may be only just about to start.
    for (const hold of due) if (hold.usage === undefined) looked.delete(hold);
    for (let i = 0; i < seen.length; i += BATCH) await claims.noteUsage(seen.slice(i, i + BATCH).map(toSample));
  };
  let passing = false;
  const timer = setInterval(async () => {
    if (passing) return;
    passing = true;
    await pass().catch((err) => log.debug({ err }, 'could not note what the jobs have used'));
    passing = false;
  }, TICK_MS);
  timer.unref();
  return { close: () => clearInterval(timer) };
};

const toSample = (hold: Hold) => ({ held: hold.claim, usage: hold.usage as NonNullable<Hold['usage']> });
