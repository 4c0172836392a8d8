import { compareIds, createReadCache, type LogEntry } from '@berth/store';
import { createLogFeeds, type FeedParts, type LogFeed } from './log-feed.js';
import type { RingPlace } from './log-ring.js';
import type { LogStart } from './log-start.js';
import { readPatiently } from './patience.js';
import { HEARTBEAT_MS } from './sse.js';
import { createTurns } from './turns.js';
import { createWake } from './wake.js';

export interface LogQuery {
  start: LogStart;
  /** Goes on until the job ends; otherwise to the present end. */
  follow: boolean;
  /** A follower that takes nothing for long and loses touch with the live log is told so and let go: it can come back. */
  resumable?: boolean;
  signal: AbortSignal;
}

/** `idle`: nothing has come for a while. `gap`: what follows is left out, and this is the last that comes. */
export type LogItem = LogEntry | 'idle' | 'gap';

/** What is held of a log for one reader, but for its last piece: many may stand still at a time, and for long. */
const PAGE_BYTES = 64 * 1024;
/** Of pages that were read lately, so that many who begin at the same place read them once. */
const KEPT_BYTES = 16 * 1024 * 1024;
/** So many reads are on their way at a time: they share a connection with requests, which must not wait behind hundreds of them. */
const READS = 8;
const STALLED_MS = 5_000;

const toSize = (page: LogEntry[]): number => page.reduce((sum, { bytes }) => sum + bytes.length + 200, 0);

/**
 * Pages of stored logs. Pieces never change, so a page stays the right one; a small one is read again, as more may have come. Where a page is
 * empty, nothing stood there after it was asked for.
 */
const createPages = ({ logs }: Pick<FeedParts, 'logs'>) => {
  const inTurn = createTurns(READS);
  const isLasting = (page: LogEntry[]): boolean => toSize(page) >= PAGE_BYTES / 2;
  const once = createReadCache<LogEntry[]>({ most: KEPT_BYTES, toSize, isLasting });
  return async (job_id: string, after: string): Promise<LogEntry[]> => {
    const read = () => inTurn(() => logs.readAfter(job_id, after, PAGE_BYTES));
    const page = await once(`${job_id} ${after}`, read);
    // Somebody else may have begun to read it before anything stood there.
    return page.length > 0 ? page : read();
  };
};

interface Following {
  feed: LogFeed;
  readPage: (after: string) => Promise<LogEntry[]>;
  signal: AbortSignal;
  /** Whether a reader that took so long for the last piece is let go. */
  lets_go: (took_ms: number) => boolean;
}

/**
 * From the stored log into the live one: it reads by itself until it has caught up with the feed, and whenever that has overtaken it.
 * The feed's notice rings before there is anything to wait for, so none is missed.
 */
async function* readOn(start: string, { feed, readPage, signal, lets_go }: Following): AsyncGenerator<LogItem> {
  const wake = createWake();
  const unlisten = feed.listen(wake.ring);
  let last = start;
  let number: number | undefined;
  let took_ms = 0;
  /** The job was forgotten meanwhile, and its log with it. */
  let gone = false;
  const giveLive = async function* (place: RingPlace): AsyncGenerator<LogItem> {
    const given = performance.now();
    yield place.entry;
    took_ms = performance.now() - given;
    last = place.entry.id;
    number = place.number + 1;
    feed.take(place);
  };
  const catchUp = async function* (): AsyncGenerator<LogItem> {
    number = undefined;
    const page = await readPage(last);
    gone = page.length === 0;
    for (const entry of page) {
      yield entry;
      last = entry.id;
    }
  };
  /** Undefined: wait. */
  const toNext = (): AsyncGenerator<LogItem> | 'over' | 'gap' | undefined => {
    const next = feed.next(last, number);
    if (next === 'end') return undefined;
    if (next === 'over') return next;
    if (next !== 'behind') return giveLive(next);
    return number !== undefined && lets_go(took_ms) ? 'gap' : catchUp();
  };
  try {
    while (!signal.aborted && !gone) {
      const next = toNext();
      if (next === 'over') return;
      if (next === 'gap') return yield next;
      if (next) yield* next;
      else if (!(await wake.wait(HEARTBEAT_MS, signal))) yield 'idle';
    }
  } finally {
    unlisten();
  }
}

export const createLogReader = (parts: FeedParts, stalled_ms = STALLED_MS) => {
  const readPage = createPages(parts);
  const feeds = createLogFeeds(parts);

  async function* readPresent(job_id: string, start: string): AsyncGenerator<LogItem> {
    const end = await parts.logs.readEnd(job_id);
    for (let last = start; compareIds(last, end) < 0; ) {
      const page = await readPage(job_id, last);
      yield* page;
      // Empty: the job was forgotten meanwhile.
      last = page.at(-1)?.id ?? end;
    }
  }

  async function* follow(job_id: string, start: string, query: LogQuery): AsyncGenerator<LogItem> {
    const { signal, resumable = false } = query;
    const feed = feeds.join(job_id);
    try {
      yield* readOn(start, {
        feed,
        readPage: (after) => readPatiently(() => readPage(job_id, after), signal),
        signal,
        lets_go: (took_ms) => resumable && took_ms > stalled_ms,
      });
    } finally {
      feed.leave();
    }
  }

  return {
    /** The pieces in order of arrival. */
    async *read(job_id: string, query: LogQuery): AsyncGenerator<LogItem> {
      const { first, after } = query.start;
      if (first) yield first;
      if (query.follow) yield* follow(job_id, after, query);
      else yield* readPresent(job_id, after);
    },
  };
};

export type LogReader = ReturnType<typeof createLogReader>;
