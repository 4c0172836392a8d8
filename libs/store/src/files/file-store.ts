import type { Readable } from 'node:stream';

/**
 * The port between Berth and whatever keeps bytes for good: uploads, artifacts, log segments. Three implementations stand behind it: a
 * folder (`local-files.ts`), S3 (`s3-files.ts`) and the API over HTTP (`http-files.ts`); `test/file-store-conformance.ts` holds all to
 * this contract.
 *
 * - An object is written once, whole, under a name that its writer made up and nobody else writes: nothing is ever shared, appended to or
 *   changed in place, so there is no reference to count and no race about the last one. Writing a name again replaces the object whole.
 * - `put` is all or nothing. Until it returns, nobody sees anything under the name but what stood there before; when it rejects or the process
 *   dies, nothing of it is left that `list` shows, and what is left otherwise goes by itself. When it has returned, the bytes are durable.
 * - A chunk that a source has given away is the store's: whoever made it does not write into it again.
 * - `read` begins with the first byte at once and goes on as fast as the reader takes it. An object that is removed meanwhile may be read
 *   to its end or break off with an error, never end early in silence. The error with which a stream breaks off is a FilesUnavailable.
 * - `remove` of what is not there is success. `list` shows what was there all the while; what comes or goes meanwhile may be missing.
 *
 * What is not there is a FileMissing; a name that is none a TypeError; a source that is too long a FileTooLarge; a store that cannot be reached, or is full, a
 * FilesUnavailable, which may be tried again. What the source itself throws is thrown on as it is.
 */
export interface FileStore {
  put(name: string, source: AsyncIterable<Uint8Array>, options?: PutOptions): Promise<Written>;
  /** Of the bytes from `start` on, up to and without `end`. Rejects with FileMissing before the first byte. Destroy it to stop. */
  read(name: string, range?: ByteRange): Promise<Readable>;
  stat(name: string): Promise<StoredObject | undefined>;
  remove(name: string): Promise<void>;
  /** Objects whose names begin with `prefix`, in order of their names. */
  list(prefix: string): AsyncGenerator<StoredObject>;
  close(): Promise<void>;
}

export interface PutOptions {
  /** A source of more bytes than that rejects as soon as it is seen, with FileTooLarge. */
  max_bytes?: number;
  signal?: AbortSignal;
}

export interface Written {
  bytes: number;
  /** Hex. */
  sha256: string;
}

export interface ByteRange {
  start: number;
  end?: number;
}

export interface StoredObject {
  name: string;
  bytes: number;
  /** Unix milliseconds, by the store's clock. */
  changed_at: number;
}

/** `uploads/01J…`, `logs/01J…/1-1.gz`: parts of letters, digits, dots, dashes and underscores that do not begin with a dot. */
const OBJECT_NAME = /^(?=.{1,200}$)[A-Za-z0-9_-][A-Za-z0-9._-]*(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]*){0,4}$/;

/** Whether it can name an object. What comes from outside is checked before it becomes a path. */
export const isObjectName = (name: string): boolean => OBJECT_NAME.test(name);

/** Throws where a caller made up a name that is none: a bug. */
export const requireObjectName = (name: string): void => {
  if (!isObjectName(name)) throw new TypeError(`${JSON.stringify(name.slice(0, 200))} is not the name of an object`);
};

export class FileMissing extends Error {
  constructor(readonly object: string) {
    super(`There is no object ${object}`);
    this.name = 'FileMissing';
  }
}

export class FileTooLarge extends Error {
  /** `file`: what its user calls it, where it came with others. */
  constructor(
    readonly max_bytes: number,
    readonly file?: string,
  ) {
    super(`${file === undefined ? 'It' : JSON.stringify(file)} is larger than ${max_bytes} bytes`);
    this.name = 'FileTooLarge';
  }
}

export class FilesUnavailable extends Error {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'FilesUnavailable';
  }
}

/** Names of the two objects that hold what a container left. */
export interface OutputNames {
  pack: string;
  manifest: string;
}

const toOutputNames = (begin: string): OutputNames => ({ pack: `${begin}.pack`, manifest: `${begin}.json.gz` });

/** The names under which objects are kept. What a name says is all that a scrub needs to find its owner. */
export const objectNames = {
  /** In front of the marks of installations: whose files these are. */
  installations: 'installation/',
  installation: (name: string) => `installation/${name.replace(/[^A-Za-z0-9_-]/g, '_').slice(-100)}`,
  upload: (upload_id: string) => `uploads/${upload_id}`,
  /** In front of all that the containers of a job left. */
  artifacts: (job_id: string) => `artifacts/${job_id}/`,
  /** What an epoch's container left, one file behind the other (`pack`), and what stands where in it (`manifest`: see `ArtifactManifest`). */
  outputs: (job_id: string, epoch: number) => toOutputNames(`artifacts/${job_id}/${epoch}`),
  /** The same of a job that still runs: see `partial-outputs.ts`. Good for an hour. */
  partialOutputs: (job_id: string, part: string) => toOutputNames(`artifacts/${job_id}/partial-${part}`),
  logSegment: (job_id: string, epoch: number, first: number, last: number) =>
    `logs/${job_id}/${epoch}-${first}-${last}.gz`,
};
