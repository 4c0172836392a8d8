import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { createProgram, type Program } from './program.js';
import type { World } from './world.js';

const PORT = 5000;
/** As users name it: engines take one on loopback without encryption. */
export const REGISTRY = `localhost:${PORT}`;
/** Where nobody listens. */
export const NO_REGISTRY = 'localhost:5001';

/**
 * An image registry beside the first engine. It has an image under every name, the world's own in one layer, and does as
 * the name begins: `missing` has none, `broken` answers 503, of `slow` the blobs come a byte at a time.
 */
export interface Registry {
  program: Program;
  /** What it was asked for of the image of this name: `GET manifests`, `GET blobs` (its configuration), `GET layer` and the like. */
  asked(name: string): string[];
  /** Requests for the image of this name that were given up before they were answered whole. */
  countLeft(name: string): number;
}

/** All files of the image that the world's engines have. */
const readFiles = async (world: World): Promise<Buffer> => {
  const docker = world.engines[0]?.docker;
  if (docker === undefined) throw new Error('the world has no engine');
  const container = await docker.createContainer({ Image: 'busybox:stable', Cmd: ['true'] });
  try {
    return await buffer(await container.export());
  } finally {
    await container.remove();
  }
};

/** Opened, not started. */
export const openRegistry = async (world: World): Promise<Registry> => {
  const tar = await readFiles(world);
  const file = join(world.folder, 'layer.tar');
  writeFileSync(file, tar);
  const diff_id = `sha256:${createHash('sha256').update(tar).digest('hex')}`;
  const script = fileURLToPath(new URL('registry-server.mjs', import.meta.url));
  const enter = world.engines[0]?.space.enter ?? [];
  const [command = '', ...args] = [...enter, process.execPath, script, String(PORT), file, diff_id];
  const program = createProgram({
    name: 'registry',
    command,
    args,
    folder: world.folder,
    keeper: world.keeper,
    isReady: (output) => output.includes('listening'),
  });
  const readLines = (name: string) =>
    program
      .allOutput()
      .split('\n')
      .map((line) => line.split(' '))
      .filter((words) => words[1] === name);
  return {
    program,
    asked: (name) =>
      readLines(name)
        .filter(([method]) => method !== 'LEFT')
        .map(([method, , ...rest]) => [method, ...rest].join(' ')),
    countLeft: (name) => readLines(name).filter(([method]) => method === 'LEFT').length,
  };
};
