import type { Adoptions, Pulse } from '@berth/store';
import type { Logger } from 'pino';

export const BEAT_MS = 1_000;
/** By how much more than the calls' own time the broker's clock and ours may drift apart from one beat to the next. */
const DRIFT_MS = 1_000;
/** An answer that took longer came from a broker, or to a process, that had stood still. */
const PROMPT_MS = 2_000;

export interface SignOfLife {
  /** For how many milliseconds the broker has taken every beat promptly and without a break. */
  steadyFor(): number;
  /** How long ago the last beat was sent that the broker has taken, in ms. */
  heardFor(): number;
  /** The broker's time at that beat, in Unix ms. */
  readonly brokerTime: number;
  /** Machines beside this one that have had a worker lately, by the last answer. */
  readonly otherEngines: number;
  /** The connection broke and came back. */
  interrupted(): void;
  close(): void;
}

export interface SignOfLifeOptions {
  beat: () => ReturnType<Adoptions['beat']>;
  /**
   * Workers of the same engine are silent. Called with every beat for as long as they are named, the first one too, and told for how long
   * the broker has been steady; must not throw.
   */
  onSilent: (steady_ms: number) => void;
  /** Milliseconds on a clock that never goes back. */
  now: () => number;
  log: Logger;
}

/**
 * A sign of life every second, by which others of the machine see that this worker lives, and by which it judges the broker. After
 * an outage every lease looks lapsed, and the living must have their chance to renew first; so whoever takes jobs away from others asks
 * first for how long the broker has answered steadily. A connection that stays open tells nothing: a broker that was stopped and goes
 * on keeps its connections, and one that is full answers but writes nothing. So a beat is a write, and a slow answer, a refusal, or a
 * pause between two beats starts the count again. So does a clock of the broker that was set: its leases look lapsed then, and each owner
 * must have had its chance to renew by the new time. The first beat has been taken when this returns.
 */
export const startSignOfLife = async (options: SignOfLifeOptions): Promise<SignOfLife> => {
  const { beat, onSilent, now, log } = options;
  let steadySince = now();
  let lastAsked = now();
  let lastAnswered = now();
  let brokerTime = 0;
  let otherEngines = 0;
  let beating = false;

  const steadyFor = (): number => (now() - lastAsked > BEAT_MS + PROMPT_MS ? 0 : now() - steadySince);
  const hear = (pulse: Pulse, asked: number): void => {
    const answered = now();
    const passed = pulse.at - brokerTime;
    const drifted = passed > answered - lastAsked + DRIFT_MS || passed < asked - lastAnswered - DRIFT_MS;
    const jumped = drifted && brokerTime > 0;
    if (jumped) log.warn({ passed_ms: passed, ms: asked - lastAsked }, "the broker's clock was set");
    if (jumped || answered - asked > PROMPT_MS || asked - lastAsked > BEAT_MS + PROMPT_MS) steadySince = answered;
    lastAsked = asked;
    lastAnswered = answered;
    otherEngines = pulse.other_engines;
    brokerTime = pulse.at;
    if (pulse.silent.length > 0) onSilent(steadyFor());
  };
  const once = async (): Promise<void> => {
    beating = true;
    const asked = now();
    await beat().then(
      (pulse) => hear(pulse, asked),
      (err) => {
        steadySince = now();
        log.warn({ err }, 'the broker did not take a sign of life');
      },
    );
    beating = false;
  };
  await once();
  const timer = setInterval(() => (beating ? undefined : once()), BEAT_MS);

  return {
    steadyFor,
    heardFor: () => now() - lastAsked,
    get brokerTime() {
      return brokerTime;
    },
    get otherEngines() {
      return otherEngines;
    },
    interrupted() {
      steadySince = now();
    },
    close: () => clearInterval(timer),
  };
};
