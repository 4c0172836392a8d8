import type { DiskSpace, ImageUses } from '@berth/store';
import type { Logger } from 'pino';
import type { WorkerContext } from './context.js';
import { isHere, readDiskSpace } from './inventory.js';
import type { ContainerRuntime } from './runtime/container-runtime.js';
import { every, pause } from './waiting.js';

const PERIOD_MS = 60_000;
/** A job may be about to create its container. */
const UNUSED_MS = 10 * 60_000;
/** It goes on until there is so much more room, so that it does not begin again at once. */
const MARGIN_PERCENT = 5;
const LOOK_MS = 500;

interface ImageUpkeepOptions {
  runtime: Pick<ContainerRuntime, 'removeImage'>;
  uses: Pick<ImageUses, 'listUnused' | 'remove'>;
  engine: string;
  /** Of the disk that holds the engine's images. Null: it cannot be seen from here, and nothing is done. */
  readDisk: () => Promise<DiskSpace | null>;
  percent: number;
  /** What jobs that name no image use. */
  defaultImage: string;
  now: () => number;
  log: Logger;
}

const toPercent = ({ total_mb, free_mb }: DiskSpace): number => (100 * (total_mb - free_mb)) / Math.max(1, total_mb);

/** Removes the images that jobs have not used for longest, one at a time, while the disk is too full. Returns which. */
export const createImageUpkeep = (options: ImageUpkeepOptions) => {
  const { runtime, uses, engine, readDisk, percent, defaultImage, now, log } = options;
  const isFuller = async (than: number): Promise<boolean> => {
    const disk = await readDisk();
    return disk !== null && toPercent(disk) > than;
  };
  return async (): Promise<string[]> => {
    if (!(await isFuller(percent))) return [];
    const removed: string[] = [];
    for (const use of await uses.listUnused(engine, now() - UNUSED_MS)) {
      if (use.image === defaultImage) continue;
      if (!(await isFuller(percent - MARGIN_PERCENT))) break;
      const work = async () => (await runtime.removeImage(use.image)) === 'removed';
      if (await uses.remove(engine, use, work)) removed.push(use.image);
    }
    if (removed.length > 0) log.info({ images: removed }, 'removed images to make room on the disk');
    return removed;
  };
};

export const startImageUpkeep = ({ config, runtime, store, engine, log }: WorkerContext): { close(): void } => {
  const here = isHere(config.dockerHost);
  const pass = createImageUpkeep({
    runtime,
    uses: store.images,
    engine: engine.id,
    readDisk: async () => (here ? readDiskSpace(engine.data_root) : null),
    percent: config.imageDiskPercent,
    defaultImage: config.defaultImage,
    now: Date.now,
    log,
  });
  const work = async () =>
    void (await pass().catch((err) => log.warn({ err }, 'could not make room among the images')));
  const timer = every(PERIOD_MS, work);
  return { close: () => clearInterval(timer) };
};

/** The same runtime, which notes what is used. */
export const notingUses = (
  runtime: ContainerRuntime,
  uses: Pick<ImageUses, 'note' | 'isGoing'>,
  { engine, now }: { engine: string; now: () => number },
): ContainerRuntime => ({
  ...runtime,
  async resolveImage(image) {
    let going = await uses.note(engine, image, now()).catch(() => false);
    while (going) {
      await pause(LOOK_MS);
      going = await uses.isGoing(engine, image).catch(() => false);
    }
    return runtime.resolveImage(image);
  },
});
