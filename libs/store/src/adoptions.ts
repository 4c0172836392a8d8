import { type BrokerPast, toWentBackAt } from './broker-past.js';
import { type Claim, type Claimant, type Held, LEASE_MS, type RecordedIntent, toPairs } from './claims.js';
import type { WireFormat } from './job-record.js';
import type { Scripts } from './scripts.js';
import { toSpec } from './spec-text.js';

/** A worker that has given no sign of life for so long may lose its jobs to its neighbours on the same engine. */
export const SILENT_MS = 3_000;
/**
 * A job whose owners die so soon after they got it, so often in a row, is taken to be what kills them. One that runs has company: whatever
 * kills its owners, its neighbours' owners are the same, and they have work to lose. So it is given far more of them than one
 * that has never come as far as its start.
 */
const EARLY_DEATH_MS = 10_000;
const EARLY_DEATHS_BEFORE_START = 3;
const EARLY_DEATHS = 20;
/** How long the lease of a job lasts that a worker let go for others of its engine to adopt: a restart or an upgrade. */
const LET_GO_MS = 5 * 60_000;
/** An engine without a sign of life from any worker is remembered for so long. */
const ENGINE_REMEMBERED_MS = 10 * 60_000;

/** What a worker takes over with a running job of another one. */
export interface Adoption {
  claim: Claim;
  /** Its owners died as soon as they had it, too often: its container is to be removed, and the epoch given up. */
  doomed: boolean;
  /** For how long its container has run, in ms by the broker's clock. Null: the record has not taken note of a start. */
  ran_ms: number | null;
  image_digest: string | null;
  /** What was recorded before a signal was sent to the container. */
  intent: RecordedIntent | undefined;
}

/** What a worker's sign of life tells it. */
export interface Pulse {
  /** Unix milliseconds by the broker's clock. */
  at: number;
  /** The name of the installation, as the broker has it. */
  installation: string;
  /** Engines beside its own that have had a worker lately. */
  other_engines: number;
  /** Since when the broker is known to have gone back to an older state, in Unix ms. Null: it is not. */
  went_back_at: number | null;
  /** Workers of its own engine that have fallen silent. */
  silent: string[];
}

const toAdoption = (job_id: string, owner: string, reply: string[]): Adoption => {
  const [kind, epoch, attempt, spec = '', format, className = '', ran, digest, intent, user = '', gpus = ''] = reply;
  return {
    claim: {
      job_id,
      owner,
      epoch: Number(epoch),
      attempt: Number(attempt),
      class: className,
      user,
      gpu_uuids: gpus === '' ? [] : gpus.split(','),
      format: format as WireFormat,
      spec: toSpec(spec),
    },
    doomed: kind === 'doomed',
    ran_ms: ran === '' ? null : Number(ran),
    image_digest: digest || null,
    intent: intent ? (intent as RecordedIntent) : undefined,
  };
};

/** How running jobs change hands between the workers of one engine. Each call is one script; a repeat of any of them is harmless. */
export const createAdoptions = (scripts: Scripts, past: BrokerPast) => ({
  /** Takes over a running job of another worker of the same engine. Undefined: it is in good hands, or has ended. */
  async adopt(job_id: string, by: Pick<Claimant, 'worker' | 'engine' | 'node'>): Promise<Adoption | undefined> {
    const who = [job_id, by.worker, by.engine, by.node] as const;
    const limits = [LEASE_MS, SILENT_MS, EARLY_DEATH_MS, EARLY_DEATHS_BEFORE_START, EARLY_DEATHS] as const;
    const reply = (await scripts.run('adopt', ...who, ...limits, past.seen)) as string[];
    return reply[0] === 'adopted' || reply[0] === 'doomed' ? toAdoption(job_id, by.worker, reply) : undefined;
  },

  /** Ids of the engine's running jobs that may be adopted, those too that the asker owns and does not renew. */
  async findOrphans({ engine }: Pick<Claimant, 'engine'>): Promise<string[]> {
    return (await scripts.run('orphans', engine, SILENT_MS)) as string[];
  },

  /** Leaves running jobs to whoever adopts them, and takes the worker off the list of the living. */
  async letGo(held: Held[], by: Pick<Claimant, 'worker' | 'engine'>): Promise<number> {
    return (await scripts.run('let-go', by.worker, by.engine, LET_GO_MS, ...toPairs(held))) as number;
  },

  /** A sign of life. Throws where the broker does not take writes. */
  async beat(by: Pick<Claimant, 'worker' | 'engine'>, installation: string): Promise<Pulse> {
    const limits = [SILENT_MS, ENGINE_REMEMBERED_MS] as const;
    const reply = await scripts.run('beat', by.engine, by.worker, ...limits, installation, past.seen);
    const [at, present, other_engines, beats, back, ...silent] = reply as [number, string, number, number, ...string[]];
    past.heard(beats);
    return { at, installation: present, other_engines, went_back_at: toWentBackAt(back ?? ''), silent };
  },
});

export type Adoptions = ReturnType<typeof createAdoptions>;
