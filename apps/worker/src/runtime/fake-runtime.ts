import { createHash } from 'node:crypto';
import type { ExitReport, MemoryReport, Usage } from '@berth/domain';
import {
  type Container,
  type ContainerOptions,
  type ContainerRuntime,
  type ContainerSummary,
  type OutputPosition,
  type OutputSink,
  type OutputStream,
  RuntimeFault,
} from './container-runtime.js';
import { createFakeFiles, type FakeFiles } from './fake-files.js';
import { type FakeEngineOptions, type FakeProgram, type FakeWrite, INFO } from './fake-program.js';
import { createSkip } from './output-position.js';

export type { FakeEngineOptions, FakeProgram, FakeWrite } from './fake-program.js';

interface FakeContainer {
  id: string;
  options: ContainerOptions;
  program: FakeProgram;
  state: ContainerSummary['state'];
  /** While it is paused, an end that is due waits. */
  paused: boolean;
  due: ExitReport | undefined;
  killed: boolean;
  outside_signal: number | null;
  /** What the engine has kept of its output. */
  log: { stream: OutputStream; bytes: Buffer }[];
  readers: OutputSink[];
  files: FakeFiles;
  end: (report: ExitReport) => void;
  report: Promise<ExitReport>;
  started_at: number | null;
}

export interface FakeEngine {
  readonly options: FakeEngineOptions;
  readonly containers: Map<string, FakeContainer>;
  /** Someone else's `docker rm -f`. */
  removeExternally(id: string): void;
  /** Someone else's `docker kill`: the program dies of the signal, unless it ignores TERM and it is that. */
  killExternally(id: string, signal: number): void;
  /** The engine throws away the oldest output that it has kept, as it does with that of a chatterbox. */
  forgetOutput(id: string, writes: number): void;
  /** The engine dies and comes back: what ran is dead. */
  restart(): void;
}

/** Several runtimes may share one engine, as the workers of one machine do. */
export const createFakeEngine = (options: FakeEngineOptions = {}): FakeEngine => {
  const containers = new Map<string, FakeContainer>();
  return {
    options,
    containers,
    removeExternally: (id) => {
      const container = containers.get(id);
      if (container !== undefined) discard(containers, container);
    },
    killExternally: (id, signal) => {
      const container = containers.get(id);
      if (container?.state !== 'running') return;
      container.outside_signal = signal;
      if (signal !== TERM || container.program.ignores_term !== true) die(container, toExit(container, 128 + signal));
    },
    forgetOutput: (id, writes) => {
      containers.get(id)?.log.splice(0, writes);
    },
    restart: () => {
      for (const container of containers.values()) die(container, { kind: 'engine_restarted' });
    },
  };
};

export const createFakeRuntime = (
  engine: FakeEngine = createFakeEngine(),
  installation = 'fake',
): ContainerRuntime => ({
  describe: async () => ({ ...INFO, ...engine.options.info }),
  isFit: async () => true,
  resolveImage: async (image) => {
    requireImage(engine, image);
    return { digest: toFakeDigest(image) };
  },
  removeImage: async (image) =>
    [...engine.containers.values()].some(({ options }) => options.image === image) ? 'in_use' : 'removed',
  create: async (options) => openContainer(engine, addContainer(engine, options)),
  list: async (job_id) =>
    [...engine.containers.values()]
      .filter(({ options: { labels } }) => labels.installation === installation)
      .filter(({ options: { labels } }) => job_id === undefined || labels.job_id === job_id)
      .map(({ id, options, state, paused }) => ({ id, name: options.name, labels: options.labels, state, paused })),
  removeLeftovers: async () => 0,
  open: (id) => openContainer(engine, engine.containers.get(id) ?? toGone(id)),
  close: async () => undefined,
});

const toFakeDigest = (image: string): string => `sha256:${createHash('sha256').update(image).digest('hex')}`;

const requireImage = (engine: FakeEngine, image: string): void => {
  const found = engine.options.images?.(image) ?? 'here';
  if (found === 'unknown') throw new RuntimeFault('image_not_found', `There is no image ${image}`);
  if (found === 'unreachable') {
    throw new RuntimeFault('image_pull_failed', `The registry of ${image} does not answer`, { retryable: true });
  }
};

const addContainer = (engine: FakeEngine, options: ContainerOptions): FakeContainer => {
  if (engine.options.images?.(options.image) === 'unknown') requireImage(engine, options.image);
  for (const other of engine.containers.values()) {
    if (other.options.name === options.name) throw new RuntimeFault('name_taken', `${options.name} exists already`);
  }
  const container = toContainer(options, engine.options.program?.(options) ?? {});
  if (container.program.bad_workdir === true) {
    throw new RuntimeFault('start_failed', `The working directory ${options.workdir} is a file`);
  }
  engine.containers.set(container.id, container);
  return container;
};

const TERM = 15;
const NEW = { paused: false, due: undefined, killed: false, outside_signal: null, started_at: null };
let made = 0;

const toContainer = (options: ContainerOptions, program: FakeProgram): FakeContainer => {
  made += 1;
  let end: (report: ExitReport) => void = () => undefined;
  const report = new Promise<ExitReport>((resolve) => {
    end = resolve;
  });
  const id = `fake-${made}`;
  return {
    ...NEW,
    id,
    options,
    program,
    state: 'created',
    log: [],
    readers: [],
    files: createFakeFiles(),
    end,
    report,
  };
};

/** A handle on nothing: every call finds it gone. */
const toGone = (id: string): FakeContainer => {
  const report = Promise.resolve<ExitReport>({ kind: 'removed' });
  const end = () => undefined;
  const labels = { job_id: '', epoch: 0, attempt: 0, deadline: 0, installation: '' };
  const shape = { name: '', image: '', argv: [], env: {}, workdir: '/', centicpus: 1, memory_mb: 6, labels };
  const options = { ...shape, network: 'none', profile: 'standard' } as const;
  return {
    ...NEW,
    id,
    options,
    program: {},
    state: 'ended',
    log: [],
    readers: [],
    files: createFakeFiles(),
    end,
    report,
  };
};

const openContainer = (engine: FakeEngine, container: FakeContainer): Container => ({
  id: container.id,
  start: async (sink) => start(container, sink),
  copyIn: async (tar) => {
    requireThere(engine, container);
    await container.files.copyIn(tar);
  },
  copyOut: async function* (path) {
    requireThere(engine, container);
    yield* container.files.copyOut(path);
  },
  follow: async (sink, from) => {
    requireThere(engine, container);
    follow(container, sink, from);
  },
  ended: () => container.report,
  isRunning: async () => container.state === 'running' && engine.containers.get(container.id) === container,
  readUsage: async () => (container.state === 'running' ? toUsage() : undefined),
  pause: async () => {
    if (container.state === 'running') container.paused = true;
  },
  unpause: async () => {
    container.paused = false;
    if (container.due !== undefined) finish(container, container.due);
  },
  stop: async (grace_seconds) => {
    container.killed = true;
    const takes_term = grace_seconds > 0 && !container.paused && container.program.ignores_term !== true;
    die(container, toExit(container, takes_term ? 143 : 137));
  },
  remove: async () => discard(engine.containers, container),
  discard: async () => {
    if (container.state !== 'created') return engine.containers.get(container.id) !== container;
    discard(engine.containers, container);
    return true;
  },
});

const requireThere = ({ containers }: FakeEngine, container: FakeContainer): void => {
  if (containers.get(container.id) !== container) throw new RuntimeFault('not_found', 'There is no container');
};

const start = (container: FakeContainer, sink: OutputSink): void => {
  const { program } = container;
  if (container.state !== 'created') throw new RuntimeFault('start_failed', 'The container has run already');
  if (program.refused !== undefined) {
    const retryable = program.refused_for_now === true;
    throw new RuntimeFault('start_failed', 'The engine refuses to start it', { exit_code: program.refused, retryable });
  }
  container.state = 'running';
  container.started_at = Date.now();
  container.readers.push(sink);
  for (const [path, text] of Object.entries(program.files ?? {})) container.files.write(path, text);
  const written = write(container, program.output ?? []);
  const end = () => finish(container, toEnd(container));
  Promise.all([written, program.until]).then(end, end);
};

/** At once, as far as nothing is to be waited for. */
const write = async (container: FakeContainer, writes: FakeWrite[]): Promise<void> => {
  for (const { stream, data, after_ms } of writes) {
    if (after_ms !== undefined) await new Promise((resolve) => setTimeout(resolve, after_ms));
    if (container.state !== 'running') return;
    const bytes = Buffer.from(data);
    container.log.push({ stream, bytes });
    for (const reader of container.readers) reader(stream, bytes);
  }
};

const follow = (container: FakeContainer, sink: OutputSink, from: OutputPosition): void => {
  let gaps = 0;
  const skip = createSkip(from, sink, () => {
    gaps += 1;
    if (gaps === 1) from.onGap();
  });
  for (const { stream, bytes } of container.log) skip.sink(stream, bytes);
  container.readers.push(skip.sink);
  void container.report.then(() => skip.finish(() => false));
};

const toEnd = (container: FakeContainer): ExitReport => {
  const { missing, not_executable, exit_code } = container.program;
  if (missing === true) return { kind: 'start_failed', message: 'The program is not in the image', exit_code: 127 };
  if (not_executable === true) return { kind: 'start_failed', message: 'It is no executable file', exit_code: 126 };
  return toExit(container, exit_code ?? 0);
};

const toExit = (container: FakeContainer, exit_code: number): ExitReport => ({
  kind: 'exited',
  exit_code,
  memory: toMemory(container),
  outside_signal: container.outside_signal,
  started_at: container.started_at,
  finished_at: Date.now(),
});

const toMemory = ({ program, killed, outside_signal }: FakeContainer): MemoryReport => {
  const oom_killed = program.oom_killed === true && !killed && outside_signal === null;
  return { oom_kills: oom_killed ? 1 : 0, oom_flag: oom_killed && program.oom_flag !== false, peak_bytes: null };
};

/** It does nothing but be there. */
const IDLE = { network_rx_bytes: 0, network_tx_bytes: 0, block_read_bytes: 0, block_write_bytes: 0 };
const toUsage = (): Usage => ({ at: Date.now(), cpu_seconds: 0, memory_peak_bytes: 1, ...IDLE });

/** A signal reaches it even where it stands still. */
const die = (container: FakeContainer, report: ExitReport): void => {
  container.paused = false;
  finish(container, report);
};

/** The first end counts; one that never started has none. */
const finish = (container: FakeContainer, report: ExitReport): void => {
  if (container.state !== 'running') return;
  if (container.paused) {
    container.due = report;
    return;
  }
  container.state = 'ended';
  container.end(report);
};

const discard = (containers: Map<string, FakeContainer>, container: FakeContainer): void => {
  containers.delete(container.id);
  container.state = 'ended';
  container.end({ kind: 'removed' });
};
