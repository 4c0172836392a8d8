import type Docker from 'dockerode';
import type { OwnBroker } from './broker.js';

/** What every benchmark gets. */
export interface Bench {
  broker: OwnBroker;
  docker: Docker;
  /** As in DOCKER_HOST. */
  dockerHost: string;
  /** Logs and data, removed at the end. */
  folder: string;
  rounds: number;
  /** Undefined: what the worker itself would choose. */
  ociRuntime: string | undefined;
  /** Folder of the control group whose CPU counts; undefined: the whole machine's. */
  cpuGroup: string | undefined;
  soak: boolean;
  /** The largest backlog of the scheduling benchmark. */
  pending: number;
}
