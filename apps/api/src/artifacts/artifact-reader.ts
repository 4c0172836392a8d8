import type { Readable } from 'node:stream';
import { AppError, isTerminal } from '@berth/domain';
import { FileMissing, type FileStore, type JobRecord, type Listing } from '@berth/store';
import type { Slice } from '../http-range.js';
import { type ArtifactSet, findArtifactSet, toGone } from './artifact-set.js';
import { createManifests } from './manifests.js';

export interface ArtifactReaderOptions {
  files: FileStore;
  /** Has what a running job has written so far collected. Throws AppError `conflict` or `unavailable` where nobody can. */
  collectNow: (job: JobRecord) => Promise<ArtifactSet>;
}

export interface Which {
  attempt?: number | undefined;
  epoch?: number | undefined;
  partial?: 'true' | 'false' | undefined;
}

export interface FoundArtifacts {
  set: ArtifactSet;
  listing: Listing;
  /** Of the pack. */
  open(slice?: Slice): Promise<Readable>;
}

const toNone = (job: JobRecord, { attempt }: Which): AppError => {
  if (attempt !== undefined) return new AppError('not_found', `Attempt ${attempt} of this job has left no files.`);
  if (isTerminal(job.state)) {
    return new AppError('not_found', 'This job has left no files: it named no `outputs`, or its container was lost.');
  }
  const hint = 'No attempt of this job has ended with files yet. Ask again when it has ended, or with partial=true.';
  return new AppError('not_found', hint);
};

/** Where nothing could be kept, nothing is stored that says so: the summary alone does. */
export const NOTHING: Listing = { packed: [], sorted: [], find: () => undefined };

const toNothing = ({ set: { attempt, summary } }: FoundArtifacts): AppError => {
  const [why] = summary.notes;
  return new AppError('not_found', `Attempt ${attempt} of this job has left no files${why ? `: ${why}` : ''}.`);
};

const orGone = (error: unknown): never => {
  throw error instanceof FileMissing ? toGone() : error;
};

/** Finds what jobs have left. Throws AppError `gone` for what is kept no longer. */
export const createArtifactReader = ({ files, collectNow }: ArtifactReaderOptions) => {
  const manifests = createManifests(files);

  const find = async (job: JobRecord, which: Which): Promise<FoundArtifacts | undefined> => {
    const now = which.partial === 'true' && job.state === 'running';
    const set = now ? await collectNow(job) : findArtifactSet(job, which);
    if (!set) return undefined;
    const listing = await manifests.read(set.names.manifest).catch((error: unknown) => {
      return error instanceof FileMissing && set.summary.files === 0 ? NOTHING : orGone(error);
    });
    return { set, listing, open: (slice) => files.read(set.names.pack, slice).catch(orGone) };
  };

  return {
    /** Undefined: there is nothing. Looks whether it is still there, as what was read before may be known by heart. */
    async find(job: JobRecord, which: Which): Promise<FoundArtifacts | undefined> {
      const found = await find(job, which);
      if (found && found.set.summary.files > 0 && !(await files.stat(found.set.names.manifest))) throw toGone();
      return found;
    },

    /** Throws AppError `not_found` where there is nothing. */
    async require(job: JobRecord, which: Which): Promise<FoundArtifacts> {
      const found = await find(job, which);
      if (!found) throw toNone(job, which);
      if (found.listing === NOTHING) throw toNothing(found);
      return found;
    },
  };
};

export type ArtifactReader = ReturnType<typeof createArtifactReader>;
