import type { Claim, FileStore, Uploads } from '@berth/store';
import { FilesUnavailable } from '@berth/store';
import { isStopped } from '../attempt.js';
import type { Hold } from '../hold.js';
import { type Container, RuntimeFault } from '../runtime/container-runtime.js';
import { InputProblem } from './input-problem.js';
import { watchProgress } from './laying-progress.js';
import { createLayout, type LayoutLimits, type Ownership } from './layout.js';
import { type FoundInput, readInput, toGone } from './read-input.js';
import { TAR_END, toPadding } from './tar-header.js';
import { toMostUnpacked, unpack } from './unpack.js';

export interface InputSources {
  files: Pick<FileStore, 'read'>;
  uploads: Pick<Uploads, 'read'>;
}

/** Of all inputs of a job together, unpacked. */
const LIMITS: LayoutLimits = { files: 100_000, bytes: 10 * 1024 ** 3 };
/** What is laid so slowly is not laid at all: the container's deadline leaves so much time for it. */
const LEAST_BYTES_PER_SECOND = 4 * 1024 * 1024;
const LEAST_SECONDS = 60;
export const MOST_LAYING_SECONDS = 3_600;

/** The job's own user may do with its files what it likes: in the strict profile that is known, elsewhere an image decides who it is. */
const OWNERS: Record<'strict' | 'standard', Ownership> = {
  strict: { owner: 65_534, file_mode: 0o644, folder_mode: 0o755 },
  standard: { owner: 0, file_mode: 0o666, folder_mode: 0o777 },
};

export interface Inputs {
  found: FoundInput[];
  /** How long laying them may take. */
  limit_seconds: number;
}

/** Throws InputProblem where one is gone. */
export const findInputs = async (
  { spec: { inputs = [] }, user }: Pick<Claim, 'spec' | 'user'>,
  uploads: InputSources['uploads'],
): Promise<Inputs> => {
  const found = await Promise.all(
    inputs.map(async (input) => {
      const upload = await uploads.read(user, input.file_id);
      if (upload === null) throw toGone(input);
      return { input, upload };
    }),
  );
  if (found.length === 0) return { found, limit_seconds: 0 };
  return { found, limit_seconds: toLimitSeconds(found) };
};

/** By the most that may be laid, as nobody knows before what is in an archive, and by what is read for it. */
const toLimitSeconds = (found: FoundInput[]): number => {
  let read = 0;
  let laid = 0;
  for (const { input, upload } of found) {
    read += input.extract ? upload.bytes : 0;
    laid += input.extract ? toMostUnpacked(upload.bytes) : upload.bytes;
  }
  const seconds = LEAST_SECONDS + Math.ceil((read + Math.min(laid, LIMITS.bytes)) / LEAST_BYTES_PER_SECOND);
  return Math.min(seconds, MOST_LAYING_SECONDS);
};

/** All inputs as one tar, read from the store as fast as it is taken. Throws InputProblem. */
export const toInputTar = async function* (
  found: FoundInput[],
  files: Pick<FileStore, 'read'>,
  { profile, limits = LIMITS }: { profile: keyof typeof OWNERS; limits?: LayoutLimits },
): AsyncGenerator<Buffer> {
  const layout = createLayout(OWNERS[profile], limits);
  for (const one of found) {
    const { input, upload } = one;
    if (input.extract) {
      yield* unpack(files, one, layout);
      continue;
    }
    yield* layout.file(input.path, input.path, { bytes: upload.bytes, executable: input.mode === 'executable' });
    yield* readInput(files, one);
    yield toPadding(upload.bytes);
  }
  yield TAR_END;
};

interface Laying {
  files: Pick<FileStore, 'read'>;
  profile: keyof typeof OWNERS;
}

/**
 * Lays the inputs of a job into its container, which has not been started. It is given up as soon as something is asked of the attempt: the container is
 * then half full, and to be discarded, as it is after any error. Throws InputProblem, also where it took too long although store and engine got
 * on; FilesUnavailable where they did not; and the runtime's faults.
 */
export const layInputs = async (
  hold: Hold,
  container: Container,
  { found, limit_seconds }: Inputs,
  { files, profile }: Laying,
): Promise<'laid' | 'stopped'> => {
  const controller = new AbortController();
  const progress = watchProgress(files, controller.signal);
  const most_seconds = Math.max(limit_seconds, LEAST_SECONDS);
  let late: Error | undefined;
  const timer = setTimeout(() => {
    late = toLate(found, most_seconds, progress.isStuck());
    controller.abort();
  }, most_seconds * 1000);
  void Promise.race([hold.requested, hold.left]).then(() => controller.abort());
  try {
    await container.copyIn(progress.note(toInputTar(found, progress.files, { profile })), controller.signal);
    return isStopped(hold) ? 'stopped' : 'laid';
  } catch (error) {
    if (isStopped(hold)) return 'stopped';
    throw late !== undefined && error instanceof RuntimeFault ? late : error;
  } finally {
    clearTimeout(timer);
  }
};

/** What takes too long while all get on would take too long another time too. */
const toLate = (found: FoundInput[], seconds: number, stuck: boolean): Error => {
  if (stuck) return new FilesUnavailable(`The inputs could not be laid within ${seconds} s`);
  const paths = found.map(({ input }) => input.path);
  const shown = paths.length > 3 ? `${paths.slice(0, 3).join(', ')} and ${paths.length - 3} more` : paths.join(', ');
  return new InputProblem(shown, `could not be laid within ${seconds} s: give fewer or smaller files`);
};
