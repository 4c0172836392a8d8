import { isTerminal } from '@berth/domain';
import type { Channels, JobRecord, LogEntry, LogStore } from '@berth/store';
import type { LogStart } from './log-tail.js';
import { readPatiently } from './patience.js';
import { HEARTBEAT_MS } from './sse.js';
import type { Waiters } from './waiters.js';
import { createWake, type Wake } from './wake.js';

export interface LogQuery {
  start: LogStart;
  /** Goes on until the job ends; otherwise to the present end. */
  follow: boolean;
  signal: AbortSignal;
}

interface LogReaderOptions {
  logs: LogStore;
  channels: Channels;
  toChannel: (job_id: string) => string;
  waiters: Waiters;
  readJob: (job_id: string) => Promise<JobRecord | null>;
}

/** Watches for a job's end. What the feed may have missed is looked up. */
const watchEnd = ({ waiters, readJob }: Pick<LogReaderOptions, 'waiters' | 'readJob'>, job_id: string, wake: Wake) => {
  let uncertain = true;
  let ended = false;
  const close = waiters.listen(job_id, (event) => {
    if (event === 'resynced') uncertain = true;
    else ended ||= isTerminal(event.state);
    wake.ring();
  });
  const hasEnded = async (signal: AbortSignal): Promise<boolean> => {
    if (!uncertain || ended) return ended;
    uncertain = false;
    const job = await readPatiently(() => readJob(job_id), signal);
    ended ||= job === null || isTerminal(job.state);
    return ended;
  };
  return { hasEnded, close };
};

export const createLogReader = ({ logs, channels, toChannel, ...watched }: LogReaderOptions) => {
  /** All pieces that there are now. */
  async function* readPresent(job_id: string, after: string, patience?: AbortSignal): AsyncGenerator<LogEntry> {
    for (let last = after; ; ) {
      const read = () => logs.readAfter(job_id, last);
      const page = await (patience ? readPatiently(read, patience) : read());
      yield* page;
      const end = page.at(-1);
      if (!end) return;
      last = end.id;
    }
  }

  /**
   * Subscribe, look whether the job has ended, read, wait, read again. What is written between a read and a wait rings; what the job
   * wrote last is read after its end was seen. A notice lost with a broken connection costs a wait, never a piece.
   */
  async function* follow(job_id: string, start: string, signal: AbortSignal): AsyncGenerator<LogEntry | 'idle'> {
    const wake = createWake();
    const end = watchEnd(watched, job_id, wake);
    let unsubscribe = (): void => {};
    try {
      unsubscribe = await channels.subscribe(toChannel(job_id), wake.ring);
      for (let last = start; !signal.aborted; ) {
        const ended = await end.hasEnded(signal);
        for await (const entry of readPresent(job_id, last, signal)) {
          yield entry;
          last = entry.id;
        }
        if (ended) return;
        if (!(await wake.wait(HEARTBEAT_MS, signal))) yield 'idle';
      }
    } finally {
      unsubscribe();
      end.close();
    }
  }

  return {
    /** The pieces in order of arrival; `idle` now and then while there are none. */
    async *read(job_id: string, { start, follow: goOn, signal }: LogQuery): AsyncGenerator<LogEntry | 'idle'> {
      if (start.first) yield start.first;
      if (goOn) yield* follow(job_id, start.after, signal);
      else yield* readPresent(job_id, start.after);
    },
  };
};

export type LogReader = ReturnType<typeof createLogReader>;
