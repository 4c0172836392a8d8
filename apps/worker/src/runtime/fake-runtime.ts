import { createHash } from 'node:crypto';
import type { ExitReport } from '@berth/domain';
import {
  type Container,
  type ContainerOptions,
  type ContainerRuntime,
  type ContainerSummary,
  type EngineInfo,
  type OutputSink,
  type OutputStream,
  RuntimeFault,
} from './container-runtime.js';

/** What a fake container does once it is started. Everything left out is what `true` does. */
export interface FakeProgram {
  output?: { stream: OutputStream; data: string | Buffer }[];
  exit_code?: number;
  oom_killed?: boolean;
  /** It runs until this settles; without it, it ends as soon as it has started. */
  until?: Promise<unknown>;
  /** It lives through TERM, so that `stop` needs its grace time and KILL. */
  ignores_term?: boolean;
  /** The engine refuses to start it, with this exit code. */
  refused?: number;
  /** Init starts and finds no such program. */
  missing?: boolean;
}

export interface FakeEngineOptions {
  /** What a container with these options does. Default: what `true` does. */
  program?: (options: ContainerOptions) => FakeProgram;
  /** Images that can be had, each with or without a registry's answer. Default: every image. */
  images?: (image: string) => 'here' | 'unknown' | 'unreachable';
  info?: Partial<EngineInfo>;
}

interface FakeContainer {
  id: string;
  options: ContainerOptions;
  program: FakeProgram;
  state: ContainerSummary['state'];
  killed: boolean;
  end: (report: ExitReport) => void;
  report: Promise<ExitReport>;
  started_at: number | null;
}

export interface FakeEngine {
  readonly options: FakeEngineOptions;
  readonly containers: Map<string, FakeContainer>;
  /** Someone else's `docker rm -f`. */
  removeExternally(id: string): void;
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
    restart: () => {
      for (const container of containers.values()) finish(container, { kind: 'engine_restarted' });
    },
  };
};

export const createFakeRuntime = (
  engine: FakeEngine = createFakeEngine(),
  installation = 'fake',
): ContainerRuntime => ({
  describe: async () => ({ ...INFO, ...engine.options.info }),
  resolveImage: async (image) => {
    requireImage(engine, image);
    return { digest: toFakeDigest(image) };
  },
  create: async (options) => openContainer(engine, addContainer(engine, options)),
  list: async () =>
    [...engine.containers.values()]
      .filter(({ options }) => options.labels.installation === installation)
      .map(({ id, options, state }) => ({ id, name: options.name, labels: options.labels, state })),
  open: (id) => openContainer(engine, engine.containers.get(id) ?? toGone(id)),
  close: async () => undefined,
});

const INFO: EngineInfo = {
  id: 'fake-engine',
  name: 'fake-node',
  version: '0',
  cpus: 4,
  memory_mb: 8192,
  oci_runtime: 'fake',
};

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
  engine.containers.set(container.id, container);
  return container;
};

let made = 0;

const toContainer = (options: ContainerOptions, program: FakeProgram): FakeContainer => {
  made += 1;
  let end: (report: ExitReport) => void = () => undefined;
  const report = new Promise<ExitReport>((resolve) => {
    end = resolve;
  });
  const id = `fake-${made}`;
  return { id, options, program, state: 'created', killed: false, end, report, started_at: null };
};

/** A handle on nothing: every call finds it gone. */
const toGone = (id: string): FakeContainer => {
  const report = Promise.resolve<ExitReport>({ kind: 'removed' });
  const end = () => undefined;
  const labels = { job_id: '', epoch: 0, attempt: 0, deadline: 0, installation: '' };
  const shape = { name: '', image: '', argv: [], env: {}, workdir: '/', centicpus: 1, memory_mb: 6, labels };
  const options = { ...shape, network: 'none', profile: 'standard' } as const;
  return { id, options, program: {}, state: 'ended', killed: false, end, report, started_at: null };
};

const openContainer = (engine: FakeEngine, container: FakeContainer): Container => ({
  id: container.id,
  start: async (sink) => start(container, sink),
  ended: () => container.report,
  stop: async () => {
    kill(container, container.program.ignores_term === true ? 137 : 143);
  },
  remove: async () => discard(engine.containers, container),
});

const start = (container: FakeContainer, sink: OutputSink): void => {
  const { program } = container;
  if (container.state !== 'created') throw new RuntimeFault('start_failed', 'The container has run already');
  if (program.refused !== undefined) {
    throw new RuntimeFault('start_failed', 'The engine refuses to start it', { exit_code: program.refused });
  }
  container.state = 'running';
  container.started_at = Date.now();
  for (const { stream, data } of program.output ?? []) sink(stream, Buffer.from(data));
  const end = () => finish(container, toEnd(container));
  (program.until ?? Promise.resolve()).then(end, end);
};

const toEnd = (container: FakeContainer): ExitReport => {
  if (container.program.missing === true) {
    return { kind: 'start_failed', message: 'The program is not in the image', exit_code: 127 };
  }
  return toExit(container, container.program.exit_code ?? 0);
};

const toExit = (container: FakeContainer, exit_code: number): ExitReport => ({
  kind: 'exited',
  exit_code,
  oom_killed: container.program.oom_killed === true && !container.killed,
  started_at: container.started_at,
  finished_at: Date.now(),
});

const kill = (container: FakeContainer, exit_code: number): void => {
  container.killed = true;
  finish(container, toExit(container, exit_code));
};

/** The first end counts; one that never started has none. */
const finish = (container: FakeContainer, report: ExitReport): void => {
  if (container.state !== 'running') return;
  container.state = 'ended';
  container.end(report);
};

const discard = (containers: Map<string, FakeContainer>, container: FakeContainer): void => {
  containers.delete(container.id);
  container.state = 'ended';
  container.end({ kind: 'removed' });
};
