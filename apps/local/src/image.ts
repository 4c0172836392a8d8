import { existsSync, readFileSync } from 'node:fs';
import type { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { isStaticProgram, readBusyboxImage } from './busybox-image.js';
import { installPackages, machineTakesPackages } from './install.js';
import { LocalError } from './local-error.js';
import { imageIsHere, pullImage, readToEnd } from './pull-image.js';

export interface ImageOptions {
  defaultImage: string;
  mayInstall: boolean;
  dataDir: string;
  env: NodeJS.ProcessEnv;
  say: (line: string) => void;
}

const standInFor = 'busybox:stable';
const busyboxPaths = ['/bin/busybox', '/usr/bin/busybox'];

/** Present, else pulled, else (busybox:stable alone) put together from this machine's static busybox. */
export const ensureImage = async (docker: Docker, options: ImageOptions): Promise<void> => {
  const { defaultImage, say } = options;
  if (await imageIsHere(docker, defaultImage)) return say(`Image: ${defaultImage}`);
  if (await pullImage(docker, defaultImage, options)) return say(`Image: ${defaultImage}, pulled`);
  if (defaultImage !== standInFor)
    throw new LocalError(
      `The default image ${defaultImage} is not here and could not be pulled. Type \`docker pull ${defaultImage}\` or unset BERTH_DEFAULT_IMAGE.`,
    );
  const busybox = await findOrInstallBusybox(options);
  await importBusybox(docker, busybox, standInFor);
  say(`Image: ${defaultImage}, a local stand-in made from ${busybox}`);
};

export const findStaticBusybox = (): string | undefined =>
  busyboxPaths.find((path) => existsSync(path) && isStaticProgram(readFileSync(path)));

const findOrInstallBusybox = async (options: ImageOptions): Promise<string> => {
  const found = findStaticBusybox();
  if (found) return found;
  if (options.mayInstall && machineTakesPackages()) {
    await installPackages(['busybox-static'], options);
    const installed = findStaticBusybox();
    if (installed) return installed;
  }
  throw new LocalError(
    `There is no image to run: no registry answers, and this machine has no static busybox to make one from.
Type \`sudo apt-get install -y busybox-static\`, or \`docker load\` an image and name it in BERTH_DEFAULT_IMAGE.`,
  );
};

/** Makes the image `name` of the static busybox at `path`. */
export const importBusybox = async (docker: Docker, path: string, name: string): Promise<void> => {
  const [repo, tag] = name.split(':');
  const progress = await docker.importImage(readBusyboxImage(path), { repo, tag, changes: 'CMD ["sh"]' });
  await readToEnd(docker, progress as Readable);
};
