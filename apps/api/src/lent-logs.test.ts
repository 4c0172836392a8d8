import { FilesUnavailable, type LogEntry, type Store } from '@berth/store';
import { expect, it } from 'vitest';
import { withLentLogs } from './lent-logs.js';

const toPiece = (n: number) => ({ id: `1-${n}` }) as LogEntry;

/** An archived log of ten pieces, of which a page has one; it can be read for as long as its index is lent. */
const open = (state: { here: boolean; lent: boolean; full?: boolean }) => {
  const lendings: string[][] = [];
  const logs = {
    readAfter: async (_: string, after = '1-0') => {
      const next = Number(after.split('-')[1]) + 1;
      return (state.here || state.lent) && next <= 10 ? [toPiece(next)] : [];
    },
    readEnd: async () => (state.here || state.lent ? '1-10' : '-'),
  } as unknown as Store['logs'];
  const archiving = {
    renewLent: async () => (state.here ? ('here' as const) : state.lent ? ('lent' as const) : ('gone' as const)),
    lendSegments: async (_: string, segments: string[]) => {
      if (state.full) throw new Error('OOM command not allowed');
      lendings.push(segments);
      state.lent = true;
    },
  };
  const history = { read: async () => ({ job: {} as never, segments: ['{}'] }) };
  return { logs: withLentLogs({ logs, archiving }, history), lendings, state };
};

it('reads a log to its end though its index goes again and again', async () => {
  const { logs, lendings, state } = open({ here: false, lent: false });
  const ids: string[] = [];
  for (let page = await logs.readAfter('job'); page.length > 0; page = await logs.readAfter('job', ids.at(-1))) {
    ids.push(...page.map(({ id }) => id));
    if (ids.length % 3 === 0) state.lent = false;
  }
  expect(ids).toEqual(Array.from({ length: 10 }, (_, i) => `1-${i + 1}`));
  expect(lendings.length).toBe(4);
});

it('lends nothing of a job that is here, and once what is lent already', async () => {
  const here = open({ here: true, lent: false });
  expect(await here.logs.readEnd('job')).toBe('1-10');
  expect(await here.logs.readAfter('job', '1-10')).toEqual([]);
  expect(here.lendings).toEqual([]);
  const there = open({ here: false, lent: false });
  for (let i = 0; i < 3; i++) expect(await there.logs.readEnd('job')).toBe('1-10');
  expect(there.lendings).toEqual([['{}']]);
});

it('says that it cannot be read while Redis takes nothing', async () => {
  const { logs } = open({ here: false, lent: false, full: true });
  await expect(logs.readAfter('job')).rejects.toBeInstanceOf(FilesUnavailable);
});
