import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { Readable } from 'node:stream';
import busboy from 'busboy';
import { type FileStore, FileTooLarge, objectNames } from './file-store.js';

const MAX_FIELD_BYTES = 1024;
const MAX_FIELDS = 100;
/** Characters of a field's name in a message. */
const MAX_SHOWN = 100;

/** What is wrong with the form itself. `part`: a field of text, a file, or the form around them. */
export class FormError extends Error {
  constructor(
    readonly part: 'field' | 'file' | 'form',
    message: string,
  ) {
    super(message);
    this.name = 'FormError';
  }
}

export class FormTooLarge extends Error {
  constructor(readonly max_bytes: number) {
    super(`The form is larger than ${max_bytes} bytes`);
    this.name = 'FormTooLarge';
  }
}

/** A file of a form, in the store, and in no index yet. */
export interface ReceivedFile {
  /** The last part of the name that it was sent with. */
  name: string;
  object: string;
  bytes: number;
  sha256: string;
}

export interface ReceivedForm<Result = void> {
  fields: Map<string, string>;
  /** In the order in which they came. */
  files: ReceivedFile[];
  /** What `onEnd` made of it. */
  result: Result;
}

export interface FormSource {
  headers: IncomingHttpHeaders;
  /** Told to return where no more of it is wanted; the answer to a refused form goes out over the same connection. */
  body: AsyncIterable<Uint8Array>;
}

interface ReceiveOptions<Result> {
  files: FileStore;
  /** Of the whole body. */
  max_bytes: number;
  /** Of each file. Absent: no limit of its own. */
  max_file_bytes?: number;
  max_files: number;
  /** Called with each field as it comes; what it throws refuses the form. */
  onField?: (name: string, value: string) => void;
  /** Called with each file's name before its bytes; what it throws refuses the form. */
  onFile?: (name: string) => void;
  /** Called when all has come; what it throws refuses the form. */
  onEnd: (form: Pick<ReceivedForm, 'fields' | 'files'>) => Result;
}

const openParser = (headers: IncomingHttpHeaders, max_files: number): busboy.Busboy => {
  if (!/^multipart\/form-data\s*;/i.test(headers['content-type'] ?? '')) {
    throw new FormError('form', 'Send the body as Content-Type: multipart/form-data');
  }
  try {
    const limits = { fieldSize: MAX_FIELD_BYTES, fields: MAX_FIELDS, files: max_files };
    return busboy({ headers, limits, defParamCharset: 'utf8' });
  } catch (error) {
    throw new FormError('form', (error as Error).message);
  }
};

async function* readLimited(body: AsyncIterable<Uint8Array>, max_bytes: number): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > max_bytes) throw new FormTooLarge(max_bytes);
    yield chunk;
  }
}

/** Removes what a refused form has brought. What cannot be removed now belongs to nobody, and a scrub finds it. */
export const dropReceived = async (
  files: Pick<FileStore, 'remove'>,
  received: Pick<ReceivedFile, 'object'>[],
): Promise<void> => {
  await Promise.allSettled(received.map(({ object }) => files.remove(object)));
};

const toNamed = (error: unknown, name: string): unknown =>
  error instanceof FileTooLarge ? new FileTooLarge(error.max_bytes, name) : error;

/** Takes in what a parser hands out; with the first fault all of it ends. */
const takeIn = (parser: busboy.Busboy, options: ReceiveOptions<unknown>) => {
  const { files, max_files, max_file_bytes: max_bytes = Number.POSITIVE_INFINITY, onField, onFile } = options;
  const stop = new AbortController();
  const fields = new Map<string, string>();
  const puts: Promise<ReceivedFile>[] = [];
  const objects: string[] = [];
  const fail = (error: unknown): void => {
    stop.abort(error);
    parser.destroy();
  };
  const attempt = (step: () => void): void => {
    try {
      step();
    } catch (error) {
      fail(error);
    }
  };
  const put = (name: string, stream: Readable): void => {
    if (name === '') throw new FormError('file', 'a file has no name');
    onFile?.(name);
    const object = objectNames.upload(randomUUID());
    objects.push(object);
    const putting = files.put(object, stream, { signal: stop.signal, max_bytes });
    puts.push(putting.then((written) => ({ name, object, ...written })));
    putting.catch((error) => fail(toNamed(error, name)));
  };

  parser.on('field', (name, value, { valueTruncated }) =>
    attempt(() => {
      if (valueTruncated) {
        const field = JSON.stringify(name.slice(0, MAX_SHOWN));
        throw new FormError('field', `${field} is longer than ${MAX_FIELD_BYTES} bytes`);
      }
      fields.set(name, value);
      onField?.(name, value);
    }),
  );
  parser.on('file', (_, stream, { filename = '' }) => {
    // What ends it comes by another way too.
    stream.on('error', () => undefined);
    attempt(() => put(filename, stream));
    if (stop.signal.aborted) stream.resume();
  });
  parser.on('filesLimit', () => fail(new FormError('file', `there are more than ${max_files} files`)));
  parser.on('fieldsLimit', () => fail(new FormError('field', `there are more than ${MAX_FIELDS} fields`)));
  return { fields, puts, objects, fail, signal: stop.signal };
};

/** Ends when the parser has handed out all of it. */
const feed = (parser: busboy.Busboy, chunks: AsyncGenerator<Uint8Array>, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const source = Readable.from(chunks, { objectMode: false, highWaterMark: 256 * 1024 });
    const end = (settle: () => void): void => {
      source.unpipe(parser);
      source.destroy();
      settle();
    };
    const refuse = (error: unknown) => end(() => reject(error));
    signal.addEventListener('abort', () => refuse(signal.reason), { once: true });
    source.on('error', (error) => refuse(error instanceof FormTooLarge ? error : new FormError('form', error.message)));
    parser.on('error', (error) => refuse(new FormError('form', (error as Error).message)));
    parser.on('close', () => end(resolve));
    source.pipe(parser);
  });

/**
 * Reads a multipart form as it comes: its files go straight into the store, each under a name of its own, and no more of them is in memory than is
 * under way. All or nothing: where the form is refused, breaks off or is too large, nothing of it is left. The rest of a refused body is not
 * read. Rejects with FormError, FormTooLarge, FileTooLarge, what the store says, or what the callbacks throw.
 */
export const receiveForm = async <Result>(
  { headers, body }: FormSource,
  options: ReceiveOptions<Result>,
): Promise<ReceivedForm<Result>> => {
  const { files, max_bytes, onEnd } = options;
  if (Number(headers['content-length'] ?? 0) > max_bytes) throw new FormTooLarge(max_bytes);
  const parser = openParser(headers, options.max_files);
  const { fields, puts, objects, fail, signal } = takeIn(parser, options);
  try {
    await feed(parser, readLimited(body, max_bytes), signal);
    const form = { fields, files: await Promise.all(puts) };
    return { ...form, result: onEnd(form) };
  } catch (error) {
    fail(error);
    await Promise.allSettled(puts);
    await dropReceived(
      files,
      objects.map((object) => ({ object })),
    );
    throw signal.reason;
  }
};
