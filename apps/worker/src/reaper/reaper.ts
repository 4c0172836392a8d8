import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import type { Logger } from 'pino';
import { createDeadlineClock } from '../deadline-clock.js';
import { INSTALLATION_LABEL, parseLabels } from '../runtime/docker/container-labels.js';
import { callWithin, DEADLINES } from '../runtime/docker/engine-calls.js';
import { ignoring, toReadFault } from '../runtime/docker/faults.js';
import type { Fences } from './fences.js';
import { type Fence, type Found, judge, type Verdict } from './judge.js';

/**
 * The last to hold a promise when every worker of a machine is dead, stopped or stuck. It knows nothing but the labels on the
 * engine's containers and the lease files of the machine's workers; it needs no broker, keeps nothing, and may be killed and
 * started again at any time.
 *
 * - **Deadline.** What runs, or stands paused, 5 s past the deadline on its label is killed, of whatever installation. A look every
 *   2 s makes that well under the promised 15 s. Nothing is removed: the next worker reads the true end from the container.
 *   The deadline was written by a worker of the same engine, by its machine's clock, which is this one's too: a reaper runs
 *   where its engine runs. (One that reaches its engine over a network is off by what their clocks differ.) From the first look on, what
 *   is left is counted by a clock that nobody sets.
 * - **Dead man's switch.** Where other machines may take this one's jobs over, a worker that cannot renew pauses its containers.
 *   When no worker has renewed until 7 s before the end of the lease, none is left to do so, and the reaper does. The others
 *   wait 5 s longer than the lease before they start a job anew: then two never run at once.
 *
 * It never unpauses. That is for the worker that holds or adopts the container, once its lease is good again: it writes the lease
 * file first and unpauses then. The two may still cross: the reaper has just read an old file when the worker writes a new one,
 * finds nothing paused yet, and goes on; then the pause arrives. So the file is read anew for each container, right before its
 * pause, and for the moment that is left the worker has to look again at its next renewal. Killed or paused twice is once.
 */
export interface ReaperOptions {
  docker: Docker;
  /** Undefined: only deadlines. */
  fences: Fences | undefined;
  log: Logger;
  /** Labels that a container must carry beside Berth's own: with them a test leaves everyone else's alone. */
  only?: string[];
}

export interface Reaper {
  /** Looks once and does what is due. Rejects with `engine_unavailable` where the engine does not answer. */
  pass(): Promise<void>;
}

const LOOK_EVERY_MS = 2_000;
const LONGEST_PAUSE_MS = 5_000;
const AT_ONCE = 8;

export const createReaper = ({ docker, fences, log, only = [] }: ReaperOptions): Reaper => {
  const clock = createDeadlineClock();
  let engine: string | undefined;
  let told = new Set<string>();
  let blind = false;

  const readFence = async ({ labels }: Found): Promise<Fence | undefined> => {
    if (fences === undefined || engine === undefined) return undefined;
    try {
      const fence = await fences.read(labels.installation, engine);
      blind = false;
      return fence;
    } catch (err) {
      if (!blind) log.error({ err }, 'cannot read the lease files in BERTH_RUN_DIR; only deadlines are enforced');
      blind = true;
      return undefined;
    }
  };

  const enforce = async (found: Found, saying: Set<string>, jumped: boolean): Promise<void> => {
    const fence = await readFence(found);
    const verdict = judge(found, clock.now(found.id), jumped ? undefined : fence);
    if (verdict === 'leave') return;
    const word = `${verdict} ${found.id}`;
    saying.add(word);
    const note = toNote(found, verdict);
    if (!told.has(word)) log.warn(note, verdict === 'kill' ? 'killing a container' : 'pausing a container');
    await execute(docker.getContainer(found.id), verdict).catch((err: unknown) => {
      if (!told.has(word)) log.warn({ ...note, err }, `could not ${verdict} a container; trying again`);
    });
  };

  return {
    async pass() {
      try {
        if (fences !== undefined) engine ??= await readEngineId(docker);
        const saying = new Set<string>();
        const all = await list(docker, only);
        // A note that was fresh a moment ago looks old by a clock that was set on; whoever lives writes it anew before the next look.
        const jumped = clock.look(all.map(({ id }) => id));
        await inTurns(all, (found) => enforce(found, saying, jumped));
        told = saying;
      } catch (error) {
        engine = undefined;
        throw toReadFault(error);
      }
    },
  };
};

/** Goes on until told to stop, whatever the engine does. Says once that it is away, and once that it is back. */
export const keepReaping = async (reaper: Reaper, log: Logger, stop: AbortSignal): Promise<void> => {
  let pause = LOOK_EVERY_MS;
  while (!stop.aborted) {
    const err = await reaper.pass().then(
      () => undefined,
      (error: unknown) => error,
    );
    if (err !== undefined && pause === LOOK_EVERY_MS) log.warn({ err }, 'the engine does not answer; trying again');
    if (err === undefined && pause !== LOOK_EVERY_MS) log.info('the engine answers again');
    pause = err === undefined ? LOOK_EVERY_MS : Math.min(pause * 1.5, LONGEST_PAUSE_MS);
    await delay(pause, undefined, { signal: stop }).catch(() => undefined);
  }
};

const toNote = ({ id, labels, paused }: Found, verdict: Exclude<Verdict, 'leave'>) => ({
  job_id: labels.job_id,
  epoch: labels.epoch,
  installation: labels.installation,
  container: id,
  reason: verdict === 'kill' ? 'past its deadline' : 'no worker of this machine has renewed its lease',
  deadline: labels.deadline,
  paused,
});

const readEngineId = async (docker: Docker): Promise<string> =>
  String(((await callWithin(DEADLINES.read, () => docker.info())) as { ID: unknown }).ID);

/** Only what runs or is paused, and only what carries every one of Berth's labels as Berth writes them. */
const list = async (docker: Docker, only: string[]): Promise<Found[]> => {
  const filters = { label: [INSTALLATION_LABEL, ...only], status: ['running', 'paused'] };
  const found = await callWithin(DEADLINES.read, (abortSignal) => docker.listContainers({ filters, abortSignal }));
  return found.flatMap(({ Id, Labels, State }) => {
    const labels = parseLabels(Labels);
    return labels === undefined ? [] : [{ id: Id, labels, paused: State === 'paused' }];
  });
};

/** 404: gone. 409: ended, or paused already. */
const execute = async (container: Docker.Container, verdict: 'kill' | 'pause'): Promise<void> => {
  await callWithin(DEADLINES.read, (abortSignal) =>
    verdict === 'kill' ? container.kill({ signal: 'SIGKILL', abortSignal }) : container.pause({ abortSignal }),
  ).catch(ignoring(404, 409));
};

/** The engine starts a process for each pause, so not all at once; and one that hangs must not hold up the others. */
const inTurns = async <T>(items: T[], work: (item: T) => Promise<void>): Promise<void> => {
  const left = items.values();
  const turn = async () => {
    for (const item of left) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, turn));
};
