import type { ContainerOptions, EngineInfo, OutputStream } from './container-runtime.js';

export interface FakeWrite {
  stream: OutputStream;
  data: string | Buffer;
  /** Written so long after what stands before it. Without it, in the same moment. */
  after_ms?: number;
}

/** What a fake container does once it is started. Everything left out is what `true` does. */
export interface FakeProgram {
  output?: FakeWrite[];
  exit_code?: number;
  /** The kernel killed a process of it for want of memory: its own, or a child's where it ends with another exit code. */
  oom_killed?: boolean;
  /** What the engine itself says of that. By default the truth. */
  oom_flag?: boolean;
  /** It runs until this settles; without it, it ends as soon as it has started. */
  until?: Promise<unknown>;
  /** It lives through TERM, so that `stop` needs its grace time and KILL. */
  ignores_term?: boolean;
  /** The engine refuses to start it, with this exit code. */
  refused?: number;
  /** The refusal is the engine's own trouble, and another time may do. */
  refused_for_now?: boolean;
  /** Its working directory cannot be one: the engine refuses to create it. */
  bad_workdir?: boolean;
  /** Init starts and finds no such program. */
  missing?: boolean;
  /** Init starts, finds the program and may not run it. */
  not_executable?: boolean;
  /** Files that it leaves in /workspace, by path. */
  files?: Record<string, string>;
}

export interface FakeEngineOptions {
  /** What a container with these options does. Default: what `true` does. */
  program?: (options: ContainerOptions) => FakeProgram;
  /** Images that can be had, each with or without a registry's answer. Default: every image. */
  images?: (image: string) => 'here' | 'unknown' | 'unreachable';
  info?: Partial<EngineInfo>;
}

export const INFO: EngineInfo = {
  id: 'fake-engine',
  name: 'fake-node',
  version: '0',
  cpus: 4,
  memory_mb: 8192,
  oci_runtime: 'fake',
};
