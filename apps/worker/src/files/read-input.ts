import { createHash } from 'node:crypto';
import type { JobInput } from '@berth/domain';
import { FileMissing, type FileStore, type Upload } from '@berth/store';
import { InputProblem } from './input-problem.js';

/** An input of a job, and where its bytes are. */
export interface FoundInput {
  input: JobInput;
  upload: Pick<Upload, 'object' | 'bytes' | 'file_id'>;
}

export const toGone = ({ path, file_id }: JobInput, cause?: unknown): InputProblem =>
  new InputProblem(path, `the file ${file_id} is gone. Upload it again, and submit the job again.`, { cause });

/** Every byte of it. Throws InputProblem where it is gone, or not what was uploaded: then what came so far is not to be used. */
export const readInput = async function* (
  files: Pick<FileStore, 'read'>,
  { input, upload }: FoundInput,
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of await openRange(files, { input, upload })) {
    bytes += chunk.length;
    if (bytes > upload.bytes) break;
    hash.update(chunk);
    yield chunk as Buffer;
  }
  if (bytes !== upload.bytes || hash.digest('hex') !== upload.file_id) {
    throw new InputProblem(input.path, `the file ${upload.file_id} is damaged where it is stored`);
  }
};

export const openRange = async (
  files: Pick<FileStore, 'read'>,
  { input, upload }: FoundInput,
  range?: { start: number; end: number },
) => orGone(input, files.read(upload.object, range));

/** Throws InputProblem where the file is not there. */
export const orGone = async <T>(input: JobInput, reading: Promise<T>): Promise<T> => {
  try {
    return await reading;
  } catch (error) {
    throw error instanceof FileMissing ? toGone(input, error) : error;
  }
};
