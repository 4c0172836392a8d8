import Docker from 'dockerode';
import { within } from './wait-until.js';

/** `unix://` goes to that socket; anything else is the DOCKER_HOST of the environment, with its TLS settings, which dockerode reads. */
export const openDocker = (host: string): Docker =>
  host.startsWith('unix://') ? new Docker({ socketPath: host.slice('unix://'.length) }) : new Docker();

export type EngineState = { answers: true; version: string } | { answers: false; denied: boolean; reason: string };

export const readEngineState = async (host: string, patience_ms = 5_000): Promise<EngineState> => {
  const silent: EngineState = { answers: false, denied: false, reason: `no answer within ${patience_ms / 1000} s` };
  try {
    const asked = openDocker(host)
      .version()
      .then((version): EngineState => ({ answers: true, version: version.Version }));
    return await within(patience_ms, asked, () => silent);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return { answers: false, denied: code === 'EACCES' || code === 'EPERM', reason: message };
  }
};
