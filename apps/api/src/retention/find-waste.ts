import { type RetentionBook, toKeepSeconds } from '@berth/domain';
import { type FileStore, isJobId, type StoredObject, type Upload, type Uploads } from '@berth/store';
import type { FindObjectJob, ObjectJob } from './object-job.js';

/** What is younger may be about to get its entry: its writer is at work. */
const YOUNG_MS = 3600_000;
/** An upload gets it when the last file of its form has come. */
const YOUNG_UPLOAD_MS = 24 * 3600_000;

/**
 * Something in the file store, or an entry about it, that is to go. `expired`: its time is up. `orphan`: no record or index knows it; `partial`:
 * it was made for one download. `missing`: an upload whose bytes are not there; `removing`: one whose removal was broken off.
 */
export interface Waste {
  kind: 'artifacts' | 'logs' | 'uploads';
  why: 'expired' | 'orphan' | 'partial' | 'missing' | 'removing';
  object: string;
  bytes: number;
  /** Of an upload that has an entry. */
  upload?: Upload;
}

export interface WasteParts {
  files: Pick<FileStore, 'list' | 'stat'>;
  uploads: Pick<Uploads, 'listAll'>;
  findJob: FindObjectJob;
  book: RetentionBook;
  fallback_seconds: number;
  /** Unix ms. */
  now: number;
}

const NAME = /^(artifacts|logs)\/([^/]+)\/(?:(partial-)|(\d+))?/;

const isKnown = (job: ObjectJob, { name }: StoredObject, epoch: number): boolean =>
  name.startsWith('logs/') ? job.segments.has(name) : job.epochs.has(epoch);

const createJobLookup = (findJob: FindObjectJob) => {
  let last: { job_id: string; job: ObjectJob | null } | undefined;
  return async (job_id: string): Promise<ObjectJob | null> => {
    if (last?.job_id !== job_id) last = { job_id, job: isJobId(job_id) ? await findJob(job_id) : null };
    return last.job;
  };
};

const judgeOfJob = (job: ObjectJob | null, object: StoredObject, epoch: number, leftMs: (job: ObjectJob) => number) => {
  if (!job || !isKnown(job, object, epoch)) return 'orphan';
  return job.finished_at !== null && leftMs(job) <= 0 ? 'expired' : undefined;
};

/** Of the objects that belong to jobs. They come by job, so each job is looked up once. */
async function* findOfJobs(kind: 'artifacts' | 'logs', parts: WasteParts): AsyncGenerator<Waste> {
  const { files, findJob, book, fallback_seconds, now } = parts;
  const lookUp = createJobLookup(findJob);
  const leftMs = (job: ObjectJob): number =>
    (job.finished_at ?? now) + toKeepSeconds(book, kind, job, fallback_seconds) * 1000 - now;
  for await (const object of files.list(`${kind}/`)) {
    if (now - object.changed_at < YOUNG_MS) continue;
    const { name, bytes } = object;
    const [, , job_id = '', partial, epoch] = NAME.exec(name) ?? [];
    const why = partial ? 'partial' : judgeOfJob(await lookUp(job_id), object, Number(epoch), leftMs);
    if (why) yield { kind, why, object: name, bytes };
  }
}

const judgeUpload = async (upload: Upload, parts: WasteParts): Promise<Waste['why'] | undefined> => {
  const { files, book, fallback_seconds, now } = parts;
  if (upload.removing !== null) return now - upload.removing < YOUNG_MS ? undefined : 'removing';
  const kept_ms = toKeepSeconds(book, 'uploads', upload, fallback_seconds) * 1000;
  if (upload.used_at + kept_ms <= now) return 'expired';
  return (await files.stat(upload.object)) ? undefined : 'missing';
};

async function* findOrphanUploads({ files, uploads, now }: WasteParts): AsyncGenerator<Waste> {
  const candidates: StoredObject[] = [];
  for await (const object of files.list('uploads/')) {
    if (now - object.changed_at >= YOUNG_UPLOAD_MS) candidates.push(object);
  }
  if (candidates.length === 0) return;
  // Read last: an object may be older than its entry by as long as its upload took.
  const known = new Set<string>();
  for await (const { object } of uploads.listAll()) known.add(object);
  for (const { name, bytes } of candidates) {
    if (!known.has(name)) yield { kind: 'uploads', why: 'orphan', object: name, bytes };
  }
}

/** Looks through the file store and the index of uploads, and changes nothing. */
export async function* findWaste(parts: WasteParts): AsyncGenerator<Waste> {
  yield* findOfJobs('artifacts', parts);
  yield* findOfJobs('logs', parts);
  for await (const upload of parts.uploads.listAll()) {
    const why = await judgeUpload(upload, parts);
    if (why) yield { kind: 'uploads', why, object: upload.object, bytes: upload.bytes, upload };
  }
  yield* findOrphanUploads(parts);
}
