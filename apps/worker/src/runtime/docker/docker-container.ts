import type Docker from 'dockerode';
import { type Container, RuntimeFault } from '../container-runtime.js';
import { type AttachedOutput, attachOutput } from './attached-output.js';
import { type EndWatch, watchEnd } from './container-end.js';
import { callWithin, DEADLINES } from './engine-calls.js';
import type { EngineEvents } from './engine-events.js';
import { ignoring, toEngineText, toReadFault, toStatusCode } from './faults.js';
import type { LifecycleGate } from './lifecycle-gate.js';

/** How long after the end the output may be silent before it is taken to be over. */
const QUIET_MS = 2_000;
const STOP_MARGIN_MS = 15_000;
const GONE_POLLS = 50;
const GONE_POLL_MS = 200;

export interface DockerContainerOptions {
  docker: Docker;
  events: EngineEvents;
  gate: LifecycleGate;
  isEngineUp: () => Promise<boolean>;
  /** Has `stop` called when the runtime closes. Gives back the function that takes this back. */
  onClose: (stop: () => void) => () => void;
}

/** `created`: we made it just now, so it has not run. */
export const createDockerContainer = (options: DockerContainerOptions, id: string, created: boolean): Container => {
  const { docker, events, gate, isEngineUp } = options;
  const container = docker.getContainer(id);
  let watch: EndWatch | undefined;
  let output: AttachedOutput | undefined;
  let started = false;
  let killed = false;

  const beginWatch = (fresh: boolean): EndWatch => {
    const begun = watchEnd({ docker, container, events, wasKilled: () => killed, fresh, isEngineUp });
    const forget = options.onClose(() => {
      begun.stop();
      output?.close();
    });
    begun.report.finally(forget).catch(() => undefined);
    return begun;
  };

  return {
    id,
    start: async (sink) => {
      if (started) throw new Error('a container is started once');
      started = true;
      await events.opened;
      await gate.pass(async () => {
        if (!created) await requireCreated(container);
        output = await attachOutput(container, sink);
        watch = beginWatch(true);
        await startOnce(container).catch((error: unknown) => {
          if (isRefusal(error)) {
            watch?.stop();
            output?.close();
          }
          throw error;
        });
      });
    },
    ended: async () => {
      watch ??= beginWatch(false);
      const report = await watch.report;
      await output?.drained(QUIET_MS);
      output?.close();
      return report;
    },
    stop: async (grace_seconds) => {
      killed = true;
      await stopOnce(container, grace_seconds);
    },
    remove: async () => {
      killed = true;
      await gate.pass(() => removeOnce(container));
    },
  };
};

/** Anything but a refusal leaves open whether the program runs, so its end is still watched for. */
const isRefusal = (error: unknown): boolean => error instanceof RuntimeFault && error.code !== 'engine_unavailable';

const requireCreated = async (container: Docker.Container): Promise<void> => {
  const { State } = await inspect(container);
  if (State.Status !== 'created') {
    throw new RuntimeFault('start_failed', 'The container has run already and is not started again');
  }
};

const inspect = (container: Docker.Container): Promise<Docker.ContainerInspectInfo> =>
  callWithin(DEADLINES.read, (abortSignal) => container.inspect({ abortSignal })).catch((error: unknown) => {
    throw toReadFault(error);
  });

/** 304: it runs already, which is what we want. */
const startOnce = async (container: Docker.Container): Promise<void> => {
  try {
    await callWithin(DEADLINES.start, (abortSignal) => container.start({ abortSignal }));
  } catch (error) {
    if (toStatusCode(error) !== 304) await judgeStart(container, error);
  }
};

/**
 * A lost reply says nothing: the program may run. A refusal leaves the container as it was created, with the exit code
 * that a shell would give: 127 not found, 126 not executable, 128 for anything else, which may be the engine's own trouble.
 */
const judgeStart = async (container: Docker.Container, error: unknown): Promise<void> => {
  const { State } = await inspect(container);
  if (State.Status !== 'created') return;
  if (toStatusCode(error) === undefined) throw toReadFault(error);
  const jobs_fault = toStatusCode(error) !== 500 || State.ExitCode === 127 || State.ExitCode === 126;
  throw new RuntimeFault('start_failed', `The program could not be started: ${toEngineText(error)}`, {
    retryable: !jobs_fault,
    exit_code: State.ExitCode,
    cause: error,
  });
};

/** 304: not running. 404: gone. 409: on its way. Where the engine cannot do it politely in time, KILL. */
const stopOnce = async (container: Docker.Container, grace_seconds: number): Promise<void> => {
  const t = Math.ceil(grace_seconds);
  const limit_ms = t * 1_000 + STOP_MARGIN_MS;
  try {
    await callWithin(limit_ms, (abortSignal) => container.stop({ t, abortSignal })).catch(ignoring(304, 404, 409));
  } catch {
    await callWithin(DEADLINES.read, (abortSignal) => container.kill({ signal: 'SIGKILL', abortSignal })).catch(
      ignoring(404, 409),
    );
  }
};

/** With its anonymous volumes. 404: gone. 409: someone else is removing it, so we wait until it is gone. */
const removeOnce = async (container: Docker.Container): Promise<void> => {
  try {
    await callWithin(DEADLINES.remove, (abortSignal) => container.remove({ force: true, v: true, abortSignal }));
  } catch (error) {
    if (toStatusCode(error) === 409) await untilGone(container);
    else ignoring(404)(error);
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
