import { createHash } from 'node:crypto';
import type Docker from 'dockerode';
import type { Broker } from './broker.js';
import { findFreePort } from './port.js';
import { pullImage } from './pull-image.js';
import { brokerAnswers } from './redis-client.js';
import { durableSettings } from './redis-process.js';
import { waitUntil } from './wait-until.js';

const image = 'redis:7';
const port = '6379/tcp';

/** What the container runs. */
export const brokerCommand = ['redis-server', '--dir', '/data', '--protected-mode', 'no', ...durableSettings];

/** A name and a volume of its own for each data folder: the volume, and the jobs in it, outlive the container. */
export const toContainerName = (dataDir: string): string =>
  `berth-redis-${createHash('sha256').update(dataDir).digest('hex').slice(0, 12)}`;

/**
 * A `redis:7` container published on 127.0.0.1, on a port that we choose: one of the engine's choice would be another each time
 * the engine starts the container again, which it does whenever it dies. undefined where its image is neither here nor to be had.
 */
export const openRedisContainer = async (
  docker: Docker,
  place: { dataDir: string; say: (line: string) => void },
): Promise<Broker | undefined> => {
  if (!(await pullImage(docker, image, place))) return undefined;
  const name = toContainerName(place.dataDir);
  await removeContainer(docker, name);
  const host_port = await findFreePort();
  const container = await docker.createContainer({
    name,
    Image: image,
    Cmd: brokerCommand,
    Labels: { 'berth.broker': place.dataDir },
    ExposedPorts: { [port]: {} },
    HostConfig: {
      Binds: [`${name}:/data`],
      PortBindings: { [port]: [{ HostIp: '127.0.0.1', HostPort: String(host_port) }] },
      RestartPolicy: { Name: 'unless-stopped' },
    },
  });
  const close = async () => {
    await container.stop({ t: 15 }).catch(() => {});
    await removeContainer(docker, name);
  };
  try {
    await container.start();
    const url = `redis://127.0.0.1:${host_port}`;
    if (!(await waitUntil(() => brokerAnswers(url), { timeout_ms: 30_000 })))
      throw new Error(`the container ${name} does not answer on ${url}`);
    const kill = () => void removeContainer(docker, name).catch(() => {});
    return { url, describe: `container ${name} (${image}) on ${url}, its data in the volume ${name}`, close, kill };
  } catch (error) {
    await close();
    throw error;
  }
};

const removeContainer = async (docker: Docker, name: string): Promise<void> => {
  try {
    await docker.getContainer(name).remove({ force: true });
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode !== 404) throw error;
  }
};
