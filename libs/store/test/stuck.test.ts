import { describe, expect, it } from 'vitest';
import { claim, openTestStore, submit, toNewJob, toSettlement } from './open-test-store.js';
import { waitUntil } from './wait-until.js';

describe('findStuck', () => {
  const open = () => {
    const opened = openTestStore('stuck');
    const look = (window: number, seen: (string | null)[] = [null, null]) =>
      opened.store.backlog.findStuck(['small', 'large'], window, seen);
    return { ...opened, look };
  };

  it('names the best job of each class that a queue has room for, and none where nothing waits', async () => {
    const { store, look } = open();
    expect(await look(10)).toEqual([null, null]);
    await submit(store);
    const urgent = await submit(store, { priority: 99 });
    const large = (await store.jobs.accept(toNewJob({}, { class: 'large' }))).job_id;
    expect(await look(10)).toEqual([urgent, large]);
  });

  it('names none where the window is full', async () => {
    const { store, look } = open();
    await submit(store);
    const next = await submit(store);
    await store.backlog.dispatch('small', 1, 10);
    expect(await look(1)).toEqual([null, null]);
    expect(await look(1, [next, null])).toEqual([null, null]);
    expect(await look(2)).toEqual([next, null]);
  });

  it('keeps to the one that was seen for as long as there is room for it, whatever has come before it', async () => {
    const { store, look } = open();
    const seen = await submit(store);
    const better = await submit(store, { priority: 99 });
    expect(await look(2, [seen, null])).toEqual([seen, null]);
    expect(await look(1, [seen, null])).toEqual([better, null]);
    await store.jobs.cancel(seen);
    expect(await look(2, [seen, null])).toEqual([better, null]);
  });

  it('does not take a job for late that comes back from its back-off after a long time', async () => {
    const { store, look } = open();
    const id = await submit(store, { max_attempts: 2 });
    await store.claims.settle(await claim(store, id), toSettlement('retried', { delay_ms: 50 }));
    expect(await look(10, [id, null])).toEqual([null, null]);
    await waitUntil('the back-off is over', async () => (await store.backlog.releaseDue()).length > 0);
    expect(await look(10)).toEqual([id, null]);
  });
});
