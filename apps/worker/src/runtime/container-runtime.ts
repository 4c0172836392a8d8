import type { ExitReport, Network, Profile, Usage } from '@berth/domain';

/**
 * The port between a worker and whatever runs containers. Two implementations stand behind it: `docker/` (the Docker
 * engine) and `fake-runtime.ts` (scriptable, in memory); `test/conformance.ts` holds both to this contract.
 *
 * One attempt's calls come in this order, on one worker:
 *
 *   resolveImage → create → copyIn → start → ended → copyOut → remove          stop may come at any time after create
 *
 * - `create` claims the container's name, which carries the job and the epoch. Of several concurrent creates with one
 *   name exactly one succeeds; the others get a RuntimeFault `name_taken`. Nothing runs before `start`.
 * - `copyIn` and `copyOut` are for containers that were asked for with `has_files`; of others /workspace may be a tmpfs, which no engine copies
 *   out of. `copyIn` comes before the start, any number of times, and is always given an uncompressed tar: an engine hands what is compressed to a
 *   program of the machine's, or worse of the container's. `copyOut` may be called at any time while the container is there, also while it runs; what it gives is
 *   what the job left, and is not to be trusted in any way.
 * - `start` opens the output before it starts the program, so the first byte is never lost. It is called at most once,
 *   and never on a container that has run: the engine would run it again.
 * - `ended` may be called before or after the end and as often as one likes; each call gives the same report. It returns
 *   once the program has ended and its output has been handed to the sink (or, after the end, a short while has passed without
 *   output). It survives a broken stream, a restarted engine and a lost event: only `inspect` decides. It never hangs
 *   for ever on a dead connection.
 * - `stop` and `remove` may be called twice, at any time, by anyone: gone already is success.
 * - `follow` takes the place of `start` where another worker started the container: it reads the same output from the engine's own
 *   log, also after the end, and hands on what comes after the bytes that are stored already. It is called at most once.
 * - `pause` and `unpause` may be called twice, at any time, by anyone: a container that is not running, or not paused, is success.
 *   A paused container runs no instruction, not even at its end; it can be stopped and removed like any other.
 * - `sink` is called for each piece of output, in the order of arrival, and must return at once. The runtime reads on whatever
 *   happens: a reader that stalls would block the job's own writes.
 *
 * Every call is bounded in time. What the engine refuses or fails to do is a RuntimeFault, never a bare Error.
 */
export interface ContainerRuntime {
  /** What the engine is and how large its machine is. */
  describe(): Promise<EngineInfo>;
  /**
   * Whether the engine makes and starts containers at present: it is tried out with one of Berth's own, in which nothing runs. False where
   * its disk is full or its OCI runtime broken, and where it is away; true where nobody can tell. Never rejects.
   */
  isFit(): Promise<boolean>;
  /** Makes the image available, pulling it once however many ask. Faults: `image_not_found`, `image_pull_failed`. */
  resolveImage(image: string): Promise<Image>;
  /**
   * Removes what the engine knows by this name, where it could be pulled again. `in_use`: a container has it, running or not; `kept`: it came from no
   * registry, or the engine needs it. Gone already is success. Faults: `engine_unavailable`.
   */
  removeImage(image: string): Promise<'removed' | 'in_use' | 'kept'>;
  /** Faults: `name_taken`, `image_not_found`, `start_failed` (the options name something the engine refuses). */
  create(options: ContainerOptions): Promise<Container>;
  /** Every container with our label on this engine, or those of one job, running or not. Foreign ones are never listed. */
  list(job_id?: string): Promise<ContainerSummary[]>;
  /** Removes what containers that are gone have left on the engine, where somebody else removed them; returns how much. */
  removeLeftovers(): Promise<number>;
  /** A handle on a container of `list`. It has no sink: its output is not read. */
  open(id: string): Container;
  close(): Promise<void>;
}

export interface Container {
  readonly id: string;
  /**
   * Faults: `start_failed` (the engine refuses: no such user, not a directory); `not_found`; `engine_unavailable`, which
   * leaves open whether the program runs: `ended` still tells, and `remove` makes sure that it does not. Where the connection
   * breaks, the output is taken up again from the engine's log; `onGap` is called as it is by `follow`.
   */
  start(sink: OutputSink, onGap?: () => void): Promise<void>;
  /**
   * Lays files into /workspace of a container that has not been started, from a tar with names relative to it; owners and modes are taken
   * from there. The folder itself is made so that the job may write in it. Faults: `not_found`, `engine_unavailable`, and what the tar's source throws as it is. What a failed call has left there is
   * unknown: discard the container.
   */
  copyIn(tar: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void>;
  /**
   * A tar of what stands at `path` below /workspace (`''`: all of it): the names in it begin with the last part of the path, or `workspace`. A link
   * at the path itself is not followed. Empty where nothing stands there. Faults, also on the way: `not_found` (the container),
   * `path_refused` (the engine reads the container, but not this path: links there lead round in circles, say), `engine_unavailable`.
   */
  copyOut(path: string, signal?: AbortSignal): AsyncIterable<Buffer>;
  /**
   * Reads the output of a container that has been started already, from the given position on, and returns once the reading has begun;
   * `ended` waits for it as it does after `start`. Faults: `not_found`, `engine_unavailable`.
   */
  follow(sink: OutputSink, from: OutputPosition): Promise<void>;
  /**
   * A program that is not in the image, or not executable, is only found out by the container's init process: that is a report of
   * its own, `start_failed`. On a container that is never started it waits until that is removed, and on an engine that
   * is away until it is back. Rejects with `engine_unavailable` when the runtime is closed or the engine refused the start.
   */
  ended(): Promise<ExitReport>;
  /** Whether the engine shows it running, paused or not; false too where it is gone. Faults: `engine_unavailable`. */
  isRunning(): Promise<boolean>;
  /** What it has used since its start. Undefined where nobody can look, and once it has ended: what it used is gone with it. Never rejects. */
  readUsage(): Promise<Usage | undefined>;
  /** Stands still until `unpause`: nothing of it runs. */
  pause(): Promise<void>;
  unpause(): Promise<void>;
  /** TERM, then KILL after the grace time; KILL alone where there is none, or it is paused. Returns when the container is dead or gone. */
  stop(grace_seconds: number): Promise<void>;
  /** Kills it if it still runs. */
  remove(): Promise<void>;
  /**
   * Removes it where it has never been started, and says whether it is gone. A start that is under way comes first: a list shows such a
   * container as created for as long as that takes. Faults: `engine_unavailable`.
   */
  discard(): Promise<boolean>;
}

export type OutputStream = 'stdout' | 'stderr';
/** `chunk` is only valid during the call: copy what you keep. */
export type OutputSink = (stream: OutputStream, chunk: Buffer) => void;

/** How much of one stream is stored already. */
export interface StreamPosition {
  bytes: number;
  /** The last of those bytes, up to 1 KiB: they must stand right before what comes next, or something was lost. */
  tail: Buffer;
}

/** Where a container's output is taken up again. */
export interface OutputPosition {
  stdout: StreamPosition;
  stderr: StreamPosition;
  /** Called before the first byte after a gap: the engine has thrown away output that nobody had read. At most once. */
  onGap: () => void;
}

export interface EngineInfo {
  /** Two workers on one engine see the same id, also after it was restarted. */
  id: string;
  /** The machine's name, for people. */
  name: string;
  version: string;
  cpus: number;
  memory_mb: number;
  /** The OCI runtime used for jobs, `crun` or `runc`. */
  oci_runtime: string;
  /** The folder of its machine that holds its data, where it says so. */
  data_root?: string;
}

export interface Image {
  /** `sha256:…` of the registry's manifest, or of the image's own configuration where it was never in a registry. */
  digest: string;
}

/** Everything that a container is made from: constants of its profile and these checked values, nothing else. */
export interface ContainerOptions {
  /** `berth-<job id>-e<epoch>`. */
  name: string;
  image: string;
  argv: string[];
  /** The image's entrypoint stays in front of `argv`, and its own command stands where `argv` is empty. Default: `argv` is all. */
  keeps_entrypoint?: boolean;
  env: Record<string, string>;
  workdir: string;
  centicpus: number;
  memory_mb: number;
  network: Network;
  profile: Profile;
  /**
   * Files are laid into its /workspace, or taken out of it. With the strict profile that is a volume on the disk then, gone with the container, and
   * root's until `copyIn` was called.
   */
  has_files?: boolean;
  /** What it may use of the machine's GPUs, and is told of. Fake ones are told and not attached. Default: none. */
  gpus?: { uuids: string[]; fake: boolean };
  labels: ContainerLabels;
}

export interface ContainerLabels {
  job_id: string;
  epoch: number;
  attempt: number;
  /** Unix seconds; past it any Berth process of the machine may stop the container. */
  deadline: number;
  /** The name of the installation that owns it: two installations on one engine leave each other alone. */
  installation: string;
}

export interface ContainerSummary {
  id: string;
  name: string;
  labels: ContainerLabels;
  state: 'created' | 'running' | 'ended';
  paused: boolean;
}

export type FaultCode =
  | 'image_not_found'
  | 'image_pull_failed'
  | 'name_taken'
  | 'start_failed'
  | 'not_found'
  | 'path_refused'
  | 'engine_unavailable';

/** The engine's fault, sorted by its status code, never by its text. */
export class RuntimeFault extends Error {
  readonly code: FaultCode;
  /** Whether the same call may succeed later without anyone changing the job: then the fault is the engine's or its machine's. */
  readonly retryable: boolean;
  /** With `start_failed`, the exit code that the engine gave the container: 127 not found, 126 not executable. */
  readonly exit_code: number | null;

  constructor(
    code: FaultCode,
    message: string,
    options: { retryable?: boolean; exit_code?: number; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = 'RuntimeFault';
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.exit_code = options.exit_code ?? null;
  }
}
