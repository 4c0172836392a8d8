import { randomUUID } from 'node:crypto';
import { AppError } from '@berth/domain';
import {
  dropReceived,
  type FileStore,
  FileTooLarge,
  FormError,
  type FormSource,
  FormTooLarge,
  isWhole,
  keepReceived,
  objectNames,
  type ReceivedFile,
  receiveForm,
  type Upload,
  type Uploads,
  UploadsFull,
} from '@berth/store';

const FILE_NAME = /^[^\p{Cc}\p{Cs}]{1,255}$/u;
export const FILE_NAME_RULE = '1 to 255 characters and no control characters';

export const isFileName = (name: string): boolean => FILE_NAME.test(name);

/** What a form may hold beside its files: fields, and the heads of its parts. */
const FORM_BYTES = 2 * 1024 * 1024;
const MAX_FILES = 1_000;

/** An upload, and whether its user had these bytes before. */
export interface TakenUpload {
  upload: Upload;
  known: boolean;
}

interface UploadIntakeOptions {
  files: FileStore;
  uploads: Uploads;
  /** Of one file. */
  maxFileBytes: number;
  /** Of all files of a user. Undefined: no limit. */
  uploadQuotaBytes: number | undefined;
}

/** A file that comes as the body of a request. */
export interface IncomingFile {
  user: string;
  name: string | null;
  source: AsyncIterable<Uint8Array>;
  /** As it was announced. */
  bytes: number | undefined;
  /** What its bytes have to be. */
  file_id?: string | undefined;
}

/** `file`: which of several it is. */
const toTooLarge = (limit_bytes: number, file?: string): AppError => {
  const which = file === undefined ? '' : ` ${JSON.stringify(file)} has more, so nothing was kept of the form.`;
  return new AppError('body_too_large', `A file may have ${limit_bytes} bytes.${which}`, { details: { limit_bytes } });
};

export const toMismatch = (sha256: string): AppError =>
  new AppError('content_mismatch', `What came has the SHA-256 ${sha256}. Nothing was kept of it.`, {
    details: { sha256 },
  });

const toFull = (quota_bytes: number, stored_bytes: number): AppError =>
  new AppError(
    'body_too_large',
    `Your files may take ${quota_bytes} bytes and take ${stored_bytes}: delete some, with DELETE /v1/files/{file_id}. ` +
      'Of bytes that are there already, PUT /v1/files/{sha256} answers 200.',
    { details: { limit_bytes: quota_bytes, stored_bytes } },
  );

const toRefusal = (error: unknown, quota_bytes = 0): unknown => {
  if (error instanceof UploadsFull) return toFull(quota_bytes, error.stored_bytes);
  if (error instanceof FileTooLarge) return toTooLarge(error.max_bytes, error.file);
  if (error instanceof FormError) return new AppError('invalid_request', `The form is not valid: ${error.message}.`);
  return error;
};

/** How much of a user's may come now, and what to say to more. The index looks again when it has come. */
const readRoom = async ({ uploads, uploadQuotaBytes }: UploadIntakeOptions, user: string) => {
  const quota_bytes = uploadQuotaBytes ?? Number.POSITIVE_INFINITY;
  const stored = await uploads.readStoredBytes(user);
  return { left: Math.max(0, quota_bytes - stored), refuse: () => toFull(quota_bytes, stored) };
};

/** Puts a file into the store and into no index. */
const receive = async (options: UploadIntakeOptions, file: IncomingFile): Promise<ReceivedFile> => {
  const { user, name, source, bytes, file_id } = file;
  const { maxFileBytes } = options;
  const room = await readRoom(options, user);
  const limit = Math.min(room.left, maxFileBytes);
  const refuse = (): AppError => (limit < maxFileBytes ? room.refuse() : toTooLarge(maxFileBytes));
  if (bytes !== undefined && bytes > limit) throw refuse();
  const object = objectNames.upload(randomUUID());
  const written = await options.files.put(object, source, { max_bytes: limit }).catch((error) => {
    throw error instanceof FileTooLarge ? refuse() : error;
  });
  const received = { name: name ?? '', object, ...written };
  if (file_id === undefined || file_id === written.sha256) return received;
  await dropReceived(options.files, [received]);
  throw toMismatch(written.sha256);
};

/**
 * Takes files in: into the store as they come, then into the index. All or nothing: what is refused, too large or breaks off leaves
 * nothing, and of what an API leaves that dies in between, a scrub finds the object. Throws AppError `body_too_large`, `invalid_request`,
 * and what the store or Redis say.
 */
export const createUploadIntake = (options: UploadIntakeOptions) => {
  const { files, uploads, maxFileBytes, uploadQuotaBytes: quota_bytes } = options;

  const keep = async (user: string, received: ReceivedFile[]): Promise<TakenUpload[]> => {
    const { kept } = await keepReceived({ files, uploads, user, quota_bytes }, received);
    return kept.map(({ kind, upload }) => ({ upload, known: kind !== 'added' }));
  };

  return {
    async take(file: IncomingFile): Promise<TakenUpload> {
      try {
        const [taken] = await keep(file.user, [await receive(options, file)]);
        if (!taken) throw new Error('a file was received and not kept');
        return taken;
      } catch (error) {
        throw toRefusal(error, quota_bytes);
      }
    },

    /** What the user has of this already, as just used. Undefined: nothing, or its bytes are lost. */
    async findKnown(user: string, file_id: string): Promise<Upload | undefined> {
      const known = await uploads.read(user, file_id);
      if (!known || (await uploads.touch(user, [file_id])).length > 0) return undefined;
      return (await isWhole(files, known)) ? known : undefined;
    },

    /** All files of a form, in its order: each as large as a file may be, and together what the user may still store. */
    async takeForm(user: string, form: FormSource): Promise<TakenUpload[]> {
      const { left, refuse } = await readRoom(options, user);
      const onEnd = (seen: { files: ReceivedFile[] }): void => {
        if (seen.files.length === 0) throw new FormError('form', 'there is no file in it');
      };
      const onFile = (name: string): void => {
        if (!isFileName(name)) throw new FormError('file', `the name of a file must be ${FILE_NAME_RULE}`);
      };
      try {
        const limits = { max_bytes: left + FORM_BYTES, max_file_bytes: maxFileBytes, max_files: MAX_FILES };
        const { files: received } = await receiveForm(form, { files, ...limits, onFile, onEnd });
        return await keep(user, received);
      } catch (error) {
        throw error instanceof FormTooLarge ? refuse() : toRefusal(error, quota_bytes);
      }
    },

    /** False: a job or an array that has not ended was submitted with it. */
    async remove(upload: Upload): Promise<boolean> {
      const mark = await uploads.markRemoving(upload);
      if (mark === 'needed') return false;
      if (mark === 'changed') return true;
      await files.remove(upload.object);
      await uploads.remove(upload);
      return true;
    },
  };
};

export type UploadIntake = ReturnType<typeof createUploadIntake>;
