import { Agent } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import { inspect } from 'node:util';
import Docker from 'dockerode';
import { RuntimeFault } from '../container-runtime.js';

/** Deadlines in milliseconds. None is for a call that legitimately takes as long as a job does. */
export const DEADLINES = {
  ping: 5_000,
  read: 10_000,
  create: 60_000,
  start: 60_000,
  remove: 60_000,
  probe: 20_000,
} as const;

/**
 * The engine at `unix:///path`, `tcp://host:port` or `http://host:port`; without one, where DOCKER_HOST or the usual socket
 * leads. TLS is set up by DOCKER_TLS_VERIFY and DOCKER_CERT_PATH, as for the docker command. No API version is pinned, so
 * engines from 20.10 on are served. No agent is given: docker-modem inspects its options on every request, and an agent
 * drags in every open socket.
 */
export const openEngine = (address?: string): Docker => new Docker(toConnection(address));

const toConnection = (address: string | undefined): Docker.DockerOptions => {
  if (address === undefined) return {};
  if (address.startsWith('unix://')) return { socketPath: address.slice('unix://'.length), ...NO_HOST };
  const url = new URL(address.replace(/^tcp:/, 'http:'));
  const secure = url.protocol === 'https:' ? { protocol: 'https' as const } : {};
  return { ...secure, host: url.hostname, port: url.port === '' ? 2375 : Number(url.port) };
};

/** A host taken from the environment would win over the socket. */
const NO_HOST = { host: undefined } as unknown as Docker.DockerOptions;

/** Whether the engine takes a new connection and answers on it. One that is stopping still serves the old ones. */
export const isAnswering = async (address?: string): Promise<boolean> => {
  const docker = openEngine(address);
  const modem = docker.modem as unknown as { protocol: string; agent: Agent };
  const FreshAgent = modem.protocol === 'https' ? TlsAgent : Agent;
  modem.agent = Object.assign(new FreshAgent({ keepAlive: false }), { [inspect.custom]: () => 'Agent' });
  return callWithin(DEADLINES.ping, () => docker.ping()).then(
    () => true,
    () => false,
  );
};

/**
 * Makes one engine call and gives up on it after `limit_ms`. The call is also left behind where docker-modem never
 * settles it: that happens when a connection is cut between a reply's head and its end.
 */
export const callWithin = async <T>(limit_ms: number, call: (abortSignal: AbortSignal) => Promise<T>): Promise<T> => {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(
        new RuntimeFault('engine_unavailable', `The engine did not answer in ${limit_ms} ms`, { retryable: true }),
      );
      controller.abort();
    }, limit_ms);
  });
  try {
    return await Promise.race([call(controller.signal), late]);
  } finally {
    clearTimeout(timer);
  }
};
