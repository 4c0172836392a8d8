import { join } from 'node:path';
import { openProgram, type Place, type Program } from './program.js';

export interface Api extends Program {
  port: number;
  base: string;
}

const API = 'apps/api/dist/main.js';
const WORKER = 'apps/worker/dist/main.js';

/** Where all of one place keep their files, unless they are told otherwise. */
const toFiles = ({ folder }: Place) => ({ BERTH_FILES: join(folder, 'files') });

/** The API as it is shipped, on a free port of the loopback. */
export const openApi = async (place: Place): Promise<Api> => {
  const program = await openProgram(API, 'listening', {
    ...place,
    env: { ...toFiles(place), ...place.env, BERTH_PORT: '0' },
  });
  const port = Number(program.ready.port);
  return { ...program, port, base: `http://127.0.0.1:${port}` };
};

/** The worker as it is shipped, or another entry that starts one. Told to stop, it leaves no container. */
export const openWorker = (place: Place, path = WORKER): Promise<Program> =>
  openProgram(path, 'worker ready', {
    ...place,
    env: { ...toFiles(place), ...place.env, BERTH_WORKER_PORT: '0' },
    args: ['--kill'],
  });
