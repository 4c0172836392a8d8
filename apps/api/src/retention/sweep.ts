import { AppError } from '@berth/domain';
import type { History } from '@berth/history';
import type { FileStore, Store, Upload } from '@berth/store';
import type { Logger } from 'pino';
import { repeat } from '../repeat.js';
import { findWaste, type Waste } from './find-waste.js';
import { createInstallationMark, type InstallationMark } from './installation-mark.js';
import { createFindObjectJob } from './object-job.js';
import { countRemoval, type RemovalCounts } from './removal-counts.js';
import { touchScheduled } from './scheduled-inputs.js';
import { sweepArchive, toArchiveCuts } from './sweep-archive.js';
import { type RecordParts, sweepOldest, sweepRecords } from './sweep-records.js';

const PERIOD_MS = 60_000;
/** So often one of all replicas looks through all records, and one through the file store. */
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

type WantsWaste = (waste: Waste) => boolean;

/** Removes what is wanted of all that is found, and says what; `dry_run`: says it only. */
const createWasteRemoval = (options: SweepOptions, mark: InstallationMark) => {
  const { store, files, history, retentionSeconds, now } = options;
  const findJob = createFindObjectJob(store.archiving, history);
  /** What is not there may have been unmounted meanwhile. */
  const requireVerdict = ({ why }: Waste): Promise<void> =>
    why === 'missing' ? mark.requireMark() : mark.requireSame();

  return async (dry_run: boolean, wants: WantsWaste): Promise<RemovalCounts> => {
    const counts: RemovalCounts = {};
    const book = await store.retention.readBook();
    const parts = { files, uploads: store.uploads, findJob, book, fallback_seconds: retentionSeconds, now: now() };
    for await (const waste of findWaste(parts)) {
      if (!wants(waste)) continue;
      if (!dry_run) await requireVerdict(waste);
      if (!(dry_run || (await remove(options, waste)))) continue;
      countRemoval(counts, `${waste.kind}_${waste.why}`, { id: waste.object, bytes: waste.bytes });
    }
    return counts;
  };
};

interface Parts {
  mark: InstallationMark;
  sweepRecords: () => Promise<RemovalCounts>;
  sweepFiles: () => Promise<RemovalCounts>;
}

/** Every replica looks; whoever's turn it is does all of it. Records wait for no file store that is away. */
const startPasses = ({ store, history, log, ...options }: SweepOptions, { mark, ...sweeps }: Parts) => {
  const complain = createComplaint(log);
  const say = (removed: RemovalCounts, forgotten = 0): void => {
    const counts = Object.entries(removed).map(([what, { count }]) => [what, count]);
    if (forgotten > 0) counts.push(['records_forgotten', forgotten]);
    if (counts.length > 0) log.info(Object.fromEntries(counts), 'removed what is kept no longer');
  };
  const pass = async (): Promise<void> => {
    await mark.requireRecords();
    const forgotten = history ? 0 : await sweepOldest({ store, ...options });
    say((await store.retention.takeTurn('records', TURN_MS)) ? await sweeps.sweepRecords() : {}, forgotten);
    await mark.requireMark();
    say((await store.retention.takeTurn('files', TURN_MS)) ? await sweeps.sweepFiles() : {});
    complain(undefined);
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
  const marking = mark.requireMark().catch(() => undefined);
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
 * asked before, and again between each verdict and its removal: see `installation-mark.ts`. All of it throws AppError `unavailable` where they cannot.
 */
export const createSweep = (options: SweepOptions) => {
  const { store, history, now } = options;
  const mark = createInstallationMark(options);

  const removeWaste = createWasteRemoval(options, mark);
  const sweepFiles = async (dry_run: boolean, wants: WantsWaste): Promise<RemovalCounts> => {
    await mark.requireMark();
    await touchScheduled(store);
    return removeWaste(dry_run, wants);
  };
  const sweepAllRecords = async (dry_run: boolean): Promise<RemovalCounts> => {
    await mark.requireRecords();
    if (!history) return sweepRecords(dry_run, options);
    return sweepArchive(dry_run, history, toArchiveCuts(await store.retention.readBook(), now()));
  };
  const sweepAll = async (dry_run: boolean, wants: WantsWaste): Promise<RemovalCounts> => ({
    ...(await sweepAllRecords(dry_run)),
    ...(await sweepFiles(dry_run, wants)),
  });
  const isExpired = ({ why }: Waste): boolean => why === 'expired';
  const all = (): boolean => true;

  return {
    /** Records that nobody has spoken of are kept for good. */
    keepsRecords: history !== undefined,

    /** What is kept no longer by what the book says now. */
    preview: (): Promise<RemovalCounts> => sweepAll(true, isExpired),

    /** What a crash has left: objects without an entry and entries without an object. */
    async scrub(dry_run: boolean): Promise<RemovalCounts> {
      await mark.requireMark();
      return removeWaste(dry_run, (waste) => !isExpired(waste));
    },

    /** All of it. */
    sweep: (): Promise<RemovalCounts> => sweepAll(false, all),

    start: () =>
      startPasses(options, {
        mark,
        sweepRecords: () => sweepAllRecords(false),
        sweepFiles: () => sweepFiles(false, all),
      }),
  };
};

export type Sweep = ReturnType<typeof createSweep>;
