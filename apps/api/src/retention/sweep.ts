import { AppError } from '@berth/domain';
import type { History } from '@berth/history';
import type { FileStore, Store, Upload } from '@berth/store';
import type { Logger } from 'pino';
import { repeat } from '../repeat.js';
import { createFilesClaim, type FilesClaim } from './files-claim.js';
import { findWaste, type Waste } from './find-waste.js';
import { createFindOwner } from './owners.js';
import { touchScheduled } from './scheduled-inputs.js';
import { sweepArchive, toArchiveCuts } from './sweep-archive.js';
import { type RecordParts, sweepOldest, sweepRecords } from './sweep-records.js';
import { addToTally, type Tallies } from './tally.js';

const PERIOD_MS = 60_000;
/** So often one of all replicas looks through all records and the file store. */
const TURN_MS = 3600_000;

interface SweepOptions extends RecordParts {
  store: Pick<
    Store,
    'keys' | 'archiving' | 'retention' | 'uploads' | 'schedules' | 'readInstallation' | 'readWentBack'
  >;
  files: FileStore;
  /** Where there is one, records go there, and stay unless somebody has said for how long. */
  history: Pick<History, 'read' | 'findFinished' | 'remove'> | undefined;
  log: Logger;
}

/** False: it is needed, or no longer as it was seen. */
const removeUpload = async ({ store: { uploads }, files }: SweepOptions, why: Waste['why'], upload: Upload) => {
  if (why !== 'removing' && (await uploads.markRemoving(upload, { if_unused: why === 'expired' })) !== 'marked') {
    return false;
  }
  await files.remove(upload.object);
  await uploads.remove(upload);
  return true;
};

const remove = async (options: SweepOptions, { why, object, upload }: Waste): Promise<boolean> => {
  if (upload) return removeUpload(options, why, upload);
  await options.files.remove(object);
  return true;
};

/** Says once why nothing is removed, and again only when it is for another reason. */
const createComplaint = (log: Logger) => {
  let said: string | undefined;
  return (why: string | undefined): void => {
    if (why !== undefined && why !== said) log.warn({ why }, 'nothing that is kept is removed at present');
    said = why;
  };
};

/** Every replica looks; whoever's turn it is does all of it. */
const startPasses = (options: SweepOptions, claim: FilesClaim, sweepAll: () => Promise<Tallies>) => {
  const { store, history, log } = options;
  const complain = createComplaint(log);
  const pass = async (): Promise<void> => {
    await claim.take();
    const forgotten = history ? 0 : await sweepOldest(options);
    const gone = (await store.retention.takeTurn(TURN_MS)) ? await sweepAll() : {};
    complain(undefined);
    const counts = Object.entries(gone).map(([what, { count }]) => [what, count]);
    if (forgotten > 0) counts.push(['records_forgotten', forgotten]);
    if (counts.length > 0) log.info(Object.fromEntries(counts), 'removed what is kept no longer');
  };
  const passOrComplain = async (): Promise<void> => {
    try {
      await pass();
    } catch (error) {
      if (!(error instanceof AppError && error.code === 'unavailable')) throw error;
      complain(error.message);
    }
  };

  // What stands in the way now is said by the passes.
  const marking = claim.take().catch(() => undefined);
  const passes = repeat(passOrComplain, {
    period_ms: PERIOD_MS,
    failure: 'could not look after what is kept',
    log,
  });
  return {
    async close() {
      await marking;
      await passes.close();
    },
  };
};

/**
 * Removes what is kept no longer and what nobody knows, and says what. An object has no entry that could be left dangling but an upload's: that is
 * marked first, so whoever dies in the middle leaves a mark, which the next sweep comes upon. All else is judged anew each time by the object's own name
 * and its job's record, so half a sweep is a shorter sweep, and two at a time do no harm. Whether records can be trusted to say that something is nobody's is
 * asked before, and again between each verdict and its removal: see `files-claim.ts`. All of it throws AppError `unavailable` where they cannot.
 */
export const createSweep = (options: SweepOptions) => {
  const { store, files, history, retentionSeconds, now } = options;
  const findOwner = createFindOwner(store.archiving, history);
  const claim = createFilesClaim(options);

  const sweepFiles = async (dry_run: boolean, wants: (waste: Waste) => boolean): Promise<Tallies> => {
    const tallies: Tallies = {};
    const book = await store.retention.readBook();
    const parts = { files, uploads: store.uploads, findOwner, book, fallback_seconds: retentionSeconds, now: now() };
    for await (const waste of findWaste(parts)) {
      if (!wants(waste)) continue;
      if (!dry_run) await claim.requireRecords();
      if (!(dry_run || (await remove(options, waste)))) continue;
      addToTally(tallies, `${waste.kind}_${waste.why}`, { id: waste.object, bytes: waste.bytes });
    }
    return tallies;
  };
  const sweepAll = async (dry_run: boolean, wants: (waste: Waste) => boolean): Promise<Tallies> => {
    await claim.take();
    await touchScheduled(store);
    const cuts = history ? toArchiveCuts(await store.retention.readBook(), now()) : [];
    const records = history ? await sweepArchive(dry_run, history, cuts) : await sweepRecords(dry_run, options);
    return { ...records, ...(await sweepFiles(dry_run, wants)) };
  };
  const isExpired = ({ why }: Waste): boolean => why === 'expired';

  return {
    /** Records that nobody has spoken of are kept for good. */
    keepsRecords: history !== undefined,

    /** What is kept no longer by what the book says now. */
    preview: (): Promise<Tallies> => sweepAll(true, isExpired),

    /** What a crash has left: objects without an entry and entries without an object. */
    async scrub(dry_run: boolean): Promise<Tallies> {
      await claim.take();
      return sweepFiles(dry_run, (waste) => !isExpired(waste));
    },

    /** All of it. */
    sweep: (): Promise<Tallies> => sweepAll(false, () => true),

    start: () => startPasses(options, claim, () => sweepAll(false, () => true)),
  };
};

export type Sweep = ReturnType<typeof createSweep>;
