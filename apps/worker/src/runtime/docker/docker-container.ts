import type { ExitReport } from '@berth/domain';
import type Docker from 'dockerode';
import { type Container, RuntimeFault } from '../container-runtime.js';
import { attachOutput } from './attached-output.js';
import { copyIn, copyOut } from './container-copy.js';
import { type EndWatch, watchEnd } from './container-end.js';
import type { ReadUsage } from './container-usage.js';
import { callWithin, DEADLINES } from './engine-calls.js';
import type { EngineEvents } from './engine-events.js';
import { ignoring, toReadFault, toStatusCode } from './faults.js';
import { followOutput } from './followed-output.js';
import type { LifecycleGate } from './lifecycle-gate.js';
import type { MemoryWitness } from './memory-witness.js';
import type { ReadOutput } from './output-stream.js';
import type { OwnStops } from './own-stops.js';
import { judgeRefusal } from './refusals.js';

/** How long after the end the output may be silent before it is taken to be over. */
const QUIET_MS = 2_000;
const STOP_MARGIN_MS = 15_000;
/** The engine answers once it is dead, or after 10 s. */
const KILL_LIMIT_MS = 15_000;
const GONE_POLLS = 50;
const GONE_POLL_MS = 200;

export interface DockerContainerOptions {
  docker: Docker;
  events: EngineEvents;
  gate: LifecycleGate;
  memory: MemoryWitness;
  readUsage: ReadUsage;
  stops: OwnStops;
  isEngineUp: () => Promise<boolean>;
  /** Has `stop` called when the runtime closes. Gives back the function that takes this back. */
  onClose: (stop: () => void) => () => void;
}

/** `created`: we made it just now, so it has not run. */
export const createDockerContainer = (options: DockerContainerOptions, id: string, created: boolean): Container => {
  const { docker, events, gate, stops } = options;
  const container = docker.getContainer(id);
  let watch: EndWatch | undefined;
  let output: ReadOutput | undefined;
  let noteGap = () => {};
  let started = false;

  const beginWatch = (fresh: boolean): EndWatch => {
    const begun = watchEnd({ ...options, container, wasKilled: () => stops.has(id), fresh });
    const forget = options.onClose(() => {
      begun.stop();
      output?.close();
    });
    begun.report.finally(forget).catch(() => undefined);
    return begun;
  };

  return {
    id,
    start: async (sink, onGap = () => undefined) => {
      if (started) throw new Error('a container is started once');
      started = true;
      noteGap = onGap;
      await events.opened;
      await gate.pass(async () => {
        if (!created) await requireCreated(container);
        const { connection } = events;
        const wasEngineAway = () => connection === null || events.connection !== connection;
        output = await attachOutput(container, { sink, onGap, wasEngineAway });
        watch = beginWatch(true);
        await startOnce(docker, container).catch((error: unknown) => {
          if (isRefusal(error)) {
            watch?.stop();
            output?.close();
          }
          throw error;
        });
      });
    },
    follow: async (sink, from) => {
      if (started) throw new Error('the output of a container is read once');
      started = true;
      noteGap = from.onGap;
      output = await followOutput(container, sink, from);
      watch ??= beginWatch(false);
    },
    ended: async () => {
      watch ??= beginWatch(false);
      const report = await watch.report;
      if (output) await readOut(output, watch, { report, noteGap });
      return report;
    },
    readUsage: () => options.readUsage(container),
    ...toControls(container, options),
  };
};

/** What anyone may do to it, at any time. */
const toControls = (container: Docker.Container, { gate, stops }: Pick<DockerContainerOptions, 'gate' | 'stops'>) => ({
  copyIn: (tar: AsyncIterable<Uint8Array>, signal?: AbortSignal) => copyIn(container, tar, { signal }),
  copyOut: (path: string, signal?: AbortSignal) => copyOut(container, path, { signal }),
  isRunning: () => readRunning(container),
  pause: () => setPaused(container, true),
  unpause: () => setPaused(container, false),
  stop: (grace_seconds: number) => {
    stops.add(container.id);
    return stopOnce(container, grace_seconds);
  },
  remove: () => {
    stops.add(container.id);
    return gate.pass(() => removeOnce(container));
  },
  discard: () => gate.pass(() => discardOnce(container)),
});

interface Ending {
  report: ExitReport;
  noteGap: () => void;
}

/** What a container wrote that outlived its engine and was over before the next one came up, nobody has. */
const readOut = async (output: ReadOutput, watch: EndWatch, { report, noteGap }: Ending): Promise<void> => {
  await output.drained(QUIET_MS);
  output.close();
  if (report.kind === 'exited' && !(await watch.sawEnd())) noteGap();
};

/** Anything but a refusal leaves open whether the program runs, so its end is still watched for. */
const isRefusal = (error: unknown): boolean => error instanceof RuntimeFault && error.code !== 'engine_unavailable';

const requireCreated = async (container: Docker.Container): Promise<void> => {
  const { State } = await inspect(container);
  if (State.Status !== 'created') {
    throw new RuntimeFault('start_failed', 'The container has run already and is not started again');
  }
};

const readRunning = async (container: Docker.Container): Promise<boolean> => {
  try {
    return (await inspect(container)).State.Running;
  } catch (error) {
    if (error instanceof RuntimeFault && error.code === 'not_found') return false;
    throw error;
  }
};

const inspect = (container: Docker.Container): Promise<Docker.ContainerInspectInfo> =>
  callWithin(DEADLINES.read, (abortSignal) => container.inspect({ abortSignal })).catch((error: unknown) => {
    throw toReadFault(error);
  });

/** 304: it runs already, which is what we want. */
const startOnce = async (docker: Docker, container: Docker.Container): Promise<void> => {
  try {
    await callWithin(DEADLINES.start, (abortSignal) => container.start({ abortSignal }));
  } catch (error) {
    if (toStatusCode(error) !== 304) await judgeStart(docker, container, error);
  }
};

/** A lost reply says nothing: the program may run. A refusal leaves the container as it was created. */
const judgeStart = async (docker: Docker, container: Docker.Container, error: unknown): Promise<void> => {
  const { State, Config, HostConfig, Image } = await inspect(container);
  if (State.Status !== 'created') return;
  if (toStatusCode(error) === undefined) throw toReadFault(error);
  const body = { ...Config, Hostname: '', Image, HostConfig };
  throw await judgeRefusal(docker, { at: 'start', body, error, exit_code: State.ExitCode });
};

/** 404: gone. 409: not running, or paused already. Where an engine has another word for it, it is asked how things stand. */
const setPaused = async (container: Docker.Container, paused: boolean): Promise<void> => {
  try {
    await callWithin(DEADLINES.read, (abortSignal) =>
      paused ? container.pause({ abortSignal }) : container.unpause({ abortSignal }),
    );
  } catch (error) {
    if (toStatusCode(error) === 404 || toStatusCode(error) === 409) return;
    if (toStatusCode(error) === undefined) throw toReadFault(error);
    const { State } = await inspect(container);
    if (State.Running && State.Paused !== paused) throw toReadFault(error);
  }
};

/**
 * 304: not running. 404: gone. 409: on its way. Where the engine cannot do it politely in time, KILL. An engine lets what is paused go
 * on so that it can take the TERM, though another machine may run the job by now: so that is killed, and runs no instruction any more.
 */
const stopOnce = async (container: Docker.Container, grace_seconds: number): Promise<void> => {
  const t = Math.ceil(grace_seconds);
  if (t === 0 || (await isPaused(container))) return killOnce(container);
  const limit_ms = t * 1_000 + STOP_MARGIN_MS;
  try {
    await callWithin(limit_ms, (abortSignal) => container.stop({ t, abortSignal })).catch(ignoring(304, 404, 409));
  } catch {
    await killOnce(container);
  }
};

const isPaused = (container: Docker.Container): Promise<boolean> =>
  inspect(container).then(
    ({ State }) => State.Paused,
    () => false,
  );

const killOnce = (container: Docker.Container): Promise<void> =>
  callWithin(KILL_LIMIT_MS, (abortSignal) => container.kill({ signal: 'SIGKILL', abortSignal })).catch(
    ignoring(404, 409),
  ) as Promise<void>;

/** With its anonymous volumes. 404: gone. 409: someone else is removing it, so we wait until it is gone. */
const removeOnce = async (container: Docker.Container): Promise<void> => {
  try {
    await callWithin(DEADLINES.remove, (abortSignal) => container.remove({ force: true, v: true, abortSignal }));
  } catch (error) {
    if (toStatusCode(error) === 409) await untilGone(container);
    else ignoring(404)(error);
  }
};

/**
 * The engine answers an inspect only when a start that is under way has come to its end, and without force it refuses to remove what runs
 * (409). What is left is a start that is sent and a program that ends between the two calls.
 */
const discardOnce = async (container: Docker.Container): Promise<boolean> => {
  try {
    const { State } = await inspect(container);
    if (State.Status !== 'created') return false;
    await callWithin(DEADLINES.remove, (abortSignal) => container.remove({ v: true, abortSignal }));
    return true;
  } catch (error) {
    if (toStatusCode(error) === 404 || (error instanceof RuntimeFault && error.code === 'not_found')) return true;
    throw error instanceof RuntimeFault ? error : toReadFault(error);
  }
};

const untilGone = async (container: Docker.Container): Promise<void> => {
  for (let polls = 0; polls < GONE_POLLS; polls += 1) {
    const gone = await inspect(container).then(
      () => false,
      (error: unknown) => error instanceof RuntimeFault && error.code === 'not_found',
    );
    if (gone) return;
    await new Promise((resolve) => setTimeout(resolve, GONE_POLL_MS));
  }
  throw new RuntimeFault('engine_unavailable', 'The engine did not finish removing the container', { retryable: true });
};
