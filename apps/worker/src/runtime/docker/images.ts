import type { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { type Image, RuntimeFault } from '../container-runtime.js';
import { callWithin, DEADLINES } from './engine-calls.js';
import { toPullFault, toReadFault, toStatusCode } from './faults.js';
import { createJsonLines, isRecord } from './json-lines.js';

export interface Images {
  /** Faults: `image_not_found`, `image_pull_failed`. */
  resolve(image: string): Promise<Image>;
  /** The image as the engine has it, or undefined where it would have to be pulled. */
  find(image: string): Promise<Image | undefined>;
  /** As `removeImage` of the port. */
  remove(image: string): Promise<'removed' | 'in_use' | 'kept'>;
}

/** Whoever asks for an image while someone else is already getting it shares that one's answer, good or bad. */
export const createImages = (docker: Docker, pull_limit_ms: number): Images => {
  const asked = new Map<string, Promise<Image>>();

  const find = async (image: string): Promise<Image | undefined> => {
    const inspect = callWithin(DEADLINES.read, () => docker.getImage(image).inspect());
    const info = await inspect.catch((error: unknown) => {
      if (isUnknownImage(error)) return undefined;
      throw toReadFault(error);
    });
    return info === undefined ? undefined : { digest: toDigest(image, info.RepoDigests ?? [], info.Id) };
  };

  const findOrPull = async (image: string): Promise<Image> => {
    const local = await find(image);
    if (local !== undefined) return local;
    await pull(docker, image, pull_limit_ms);
    const pulled = await find(image);
    if (pulled !== undefined) return pulled;
    throw new RuntimeFault('image_pull_failed', `${image} was pulled and is gone again`, { retryable: true });
  };

  const remove = async (image: string): Promise<'removed' | 'in_use' | 'kept'> => {
    if (asked.has(image)) return 'in_use';
    try {
      const { RepoDigests = [] } = await callWithin(DEADLINES.read, () => docker.getImage(image).inspect());
      if (!RepoDigests.length) return 'kept';
      const filters = { ancestor: [image] };
      const users = await callWithin(DEADLINES.read, () => docker.listContainers({ all: true, filters }));
      if (users.length > 0) return 'in_use';
      await callWithin(DEADLINES.remove, () => docker.getImage(image).remove());
    } catch (error) {
      if (toStatusCode(error) === 409) return 'in_use';
      if (!isUnknownImage(error)) throw toReadFault(error);
    }
    return 'removed';
  };

  return {
    find,
    remove,
    resolve: (image) => {
      const running = asked.get(image);
      if (running !== undefined) return running;
      const answer = findOrPull(image).finally(() => asked.delete(image));
      asked.set(image, answer);
      return answer;
    },
  };
};

/** 400: no reference at all, for which the engine has no image either; the pull will say so. */
const isUnknownImage = (error: unknown): boolean => toStatusCode(error) === 404 || toStatusCode(error) === 400;

/** One image may be known under the digests of several repositories: the one that was asked for counts. */
export const toDigest = (image: string, repo_digests: string[], id: string): string => {
  const pinned = image.split('@')[1];
  if (pinned !== undefined) return pinned;
  const repository = image.replace(/:[^/:]*$/, '');
  const entry = repo_digests.find((d) => d.startsWith(`${repository}@`)) ?? repo_digests[0];
  return entry?.split('@')[1] ?? id;
};

const pull = async (docker: Docker, image: string, limit_ms: number): Promise<void> => {
  try {
    await callWithin(limit_ms, async (abortSignal) => {
      const progress = await docker.createImage({ ...toPullQuery(image), abortSignal });
      await readProgress(progress as Readable, abortSignal);
    });
  } catch (error) {
    throw error instanceof RuntimeFault ? toLatePull(limit_ms, error) : toPullFault(error);
  }
};

const toLatePull = (limit_ms: number, cause: RuntimeFault): RuntimeFault =>
  new RuntimeFault('image_pull_failed', `The image could not be pulled within ${limit_ms / 1000} s`, {
    retryable: true,
    cause,
  });

/** Without a tag the engine would pull every tag there is. */
export const toPullQuery = (image: string): { fromImage: string; tag: string } => {
  const [name = image, digest] = image.split('@');
  const tag = /:([^/:]*)$/.exec(name)?.[1];
  const fromImage = tag === undefined ? name : name.slice(0, -tag.length - 1);
  return { fromImage, tag: digest ?? tag ?? 'latest' };
};

/** The reply to a pull begins with 200 and may still end in an error: as a line of its own. */
const readProgress = (progress: Readable, abortSignal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    let failure: Error | undefined;
    const settle = (error?: Error) => {
      const worst = failure ?? error;
      if (worst === undefined) resolve();
      else reject(worst);
    };
    progress.on(
      'data',
      createJsonLines((line) => {
        failure ??= toPullError(line);
      }),
    );
    progress.once('end', () => settle());
    progress.once('error', settle);
    progress.once('close', () => settle(new Error('the connection to the engine was cut during the pull')));
    abortSignal.addEventListener('abort', () => progress.destroy());
  });

const toPullError = (line: Record<string, unknown>): Error | undefined => {
  const detail = isRecord(line.errorDetail) ? line.errorDetail.message : undefined;
  const text = detail ?? line.error;
  return text === undefined ? undefined : new Error(String(text).slice(0, 500));
};
