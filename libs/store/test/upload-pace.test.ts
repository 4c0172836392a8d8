import type { IncomingMessage } from 'node:http';
import { watchPace } from '@berth/store';
import { expect, it, onTestFinished, vi } from 'vitest';

const open = (pace?: Parameters<typeof watchPace>[1]) => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const incoming = { socket: { bytesRead: 0 }, readableLength: 0, complete: false, destroy: vi.fn() };
  const unwatch = watchPace(incoming as unknown as IncomingMessage, pace);
  const pass = (bytes: number, ms: number): number => {
    incoming.socket.bytesRead += bytes;
    vi.advanceTimersByTime(ms);
    return incoming.destroy.mock.calls.length;
  };
  return { incoming, unwatch, pass };
};

it('gives up what gets less than 16 KiB in half a minute, also where a byte comes now and then', () => {
  const { pass } = open();
  expect([pass(16 * 1024, 30_000), pass(100, 30_000)]).toEqual([0, 1]);
});

it('waits where it is the reader who is slow, and not at all when it is ended', () => {
  const { incoming, pass, unwatch } = open();
  incoming.readableLength = 1;
  expect(pass(0, 30_000)).toBe(0);
  incoming.readableLength = 0;
  unwatch();
  expect(pass(0, 300_000)).toBe(0);
});

it('waits for a body that has come whole, however slowly it is written', () => {
  const { incoming, pass } = open();
  incoming.complete = true;
  expect(pass(0, 300_000)).toBe(0);
});

it('goes by another pace where it is told one', () => {
  const { pass } = open({ least_bytes: 1, while_ms: 3_600_000 });
  expect([pass(1, 3_600_000), pass(0, 3_500_000), pass(0, 100_000)]).toEqual([0, 0, 1]);
});
