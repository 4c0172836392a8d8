import type { Claimant } from '@berth/store';
import { startClassLoops } from './class-loops.js';
import type { WorkerContext } from './context.js';
import { startHeartbeat } from './heartbeat.js';
import { startImageUpkeep } from './image-upkeep.js';
import { isHere, readDiskSpace } from './inventory.js';
import { startMachineCare } from './machine-care.js';
import { createMachineUse } from './machine-use.js';
import { createRunningAttempts, type RunningAttempts } from './running-attempts.js';
import { startUsageSampler } from './usage-sampler.js';
import { VERSION } from './version.js';
import { pause, within } from './waiting.js';

/** What becomes of the containers: others of the machine adopt them, or they are killed and their jobs given back to the queue. */
export type StopMode = 'leave' | 'kill';

export interface RunningWorker {
  /** Runs a job that this worker has claimed or adopted. Settles when it is done with it; never rejects. */
  run: RunningAttempts['run'];
  readonly claimant: Claimant;
  /** Takes no more jobs and is done with those that it has. Asked again with `kill` in the first moments, it kills after all. */
  stop(mode: StopMode): Promise<void>;
}

/** Containers that do not die within this time are left to the next worker of the machine. */
const KILL_LIMIT_MS = 12_000;
/** A second signal may come so long after the first; jobs that are about to end do so meanwhile. */
const SECOND_SIGNAL_MS = 500;
/** How long it takes at most to store what the containers have written so far. */
const LEAVE_LIMIT_MS = 1_500;
/** How long each step of a stopping worker waits for the broker, which may be away. */
const BROKER_LIMIT_MS = 500;

export const startWorker = async (context: WorkerContext): Promise<RunningWorker> => {
  const { config, store, leases, room, gate, pastGate, log, node, place, engine, capacity, served } = context;
  const claimant: Claimant = { worker: config.worker, engine: engine.id, capacity, ...place };
  const attempts = createRunningAttempts(context);
  const care = await startMachineCare(context, claimant, attempts);
  const loops = startClassLoops(context, claimant, attempts);
  const heartbeat = startHeartbeat(
    store.workers,
    { worker: config.worker, every_ms: config.heartbeatMs, describe: createDescription(context, care.brokerTime()) },
    log,
  );
  const images = startImageUpkeep(context);
  const sampler = startUsageSampler({ leases, claims: store.claims, log });
  if (served.length === 0) log.warn({ capacity }, 'this machine is too small for every class and will take no jobs');
  log.info({ node, capacity, classes: served.map((c) => c.name), oci_runtime: engine.oci_runtime }, 'worker ready');

  const mode = createStopMode();
  let stopping: Promise<void> | undefined;

  /** What is let go is named to the record last, behind all that was written of it, and with the claims whose replies came late. */
  const endAttempts = async (): Promise<void> => {
    await Promise.race([pause(SECOND_SIGNAL_MS), attempts.idle(), mode.kill]);
    if (mode.now() === 'kill') leases.releaseAll();
    else leases.letGoAll();
    await within(mode.now() === 'kill' ? KILL_LIMIT_MS : LEAVE_LIMIT_MS, attempts.idle());
    await within(BROKER_LIMIT_MS, loops.close());
    await within(BROKER_LIMIT_MS, loops.over.then(attempts.idle));
    care.close();
    const held = [...attempts.left, ...leases.all().map((hold) => hold.claim)];
    await within(BROKER_LIMIT_MS, store.adoptions.letGo(held, claimant));
  };
  const stop = async (): Promise<void> => {
    log.info({ running: leases.size, mode: mode.now() }, 'worker stopping');
    loops.stopTaking();
    room.close();
    gate.close();
    sampler.close();
    images.close();
    pastGate.close();
    care.stopAdopting();
    await endAttempts();
    await within(BROKER_LIMIT_MS, heartbeat.close());
  };

  return {
    run: attempts.run,
    claimant,
    stop(wanted) {
      if (wanted === 'kill') mode.turnToKill();
      stopping ??= stop();
      return stopping;
    },
  };
};

/** `leave`, until someone says `kill`. */
const createStopMode = () => {
  let now: StopMode = 'leave';
  let turn: () => void = () => {};
  const kill = new Promise<void>((resolve) => {
    turn = resolve;
  });
  return {
    kill,
    now: (): StopMode => now,
    turnToKill(): void {
      now = 'kill';
      turn();
    },
  };
};

/** What a heartbeat tells: what never changes, and what is measured each time. */
const createDescription = (context: WorkerContext, started_at: number) => {
  const { config, node, place, engine, capacity, served, leases } = context;
  const { labels, region, datacenter, gpus } = place;
  const here = isHere(config.dockerHost);
  const readUse = createMachineUse(engine);
  const fixed = {
    node,
    engine: engine.id,
    version: VERSION,
    engine_version: engine.version,
    oci_runtime: engine.oci_runtime,
    capacity,
    classes: served.map((c) => c.name),
    started_at,
    labels,
    region,
    datacenter,
    gpus,
  };
  return async () => ({
    ...fixed,
    running: leases.size,
    disk: here ? await readDiskSpace(engine.data_root) : null,
    used: here ? await readUse() : null,
  });
};
