import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { OutputPosition } from '../container-runtime.js';
import { KEPT_LOG_BYTES } from './container-options.js';
import { openEngine } from './engine-calls.js';
import { followOutput } from './followed-output.js';

/** An engine that gives one answer after another, the last one again and again. */
interface Answers {
  /** What the engine has kept so far, asked for by itself. */
  kept?: string;
  /** Whether the container runs, and nothing where the engine is out of order. */
  running: (boolean | undefined)[];
  /** The log, and whether the connection is cut behind it. */
  logs: { text: string; cut?: boolean; stays?: boolean }[];
}

const toFrame = (text: string): Buffer => {
  const header = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(text.length, 4);
  return Buffer.concat([header, Buffer.from(text)]);
};

const next = <T>(answers: T[]): T => (answers.length > 1 ? answers.shift() : answers[0]) as T;

const answer =
  ({ running, logs, kept }: Answers): RequestListener =>
  (request, response) => {
    if (request.url?.includes('/json')) {
      const Running = next(running);
      response.writeHead(Running === undefined ? 500 : 200).end(JSON.stringify({ State: { Running } }));
      return;
    }
    if (!request.url?.includes('follow=')) {
      response.writeHead(200).end(toFrame(kept ?? logs[0]?.text ?? ''));
      return;
    }
    const { text, cut, stays } = next(logs);
    response.writeHead(200).write(toFrame(text));
    if (cut) setImmediate(() => response.destroy());
    else if (!stays) response.end();
  };

const follow = async (answers: Answers, stored = '') => {
  // It is asked once more at first, whether there is such a container.
  answers.running.unshift(answers.running[0]);
  const folder = await mkdtemp(join(tmpdir(), 'berth-engine-'));
  const server = createServer(answer(answers)).listen(join(folder, 'sock'));
  await once(server, 'listening');
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true });
  });
  const onGap = vi.fn();
  const from: OutputPosition = {
    stdout: { bytes: stored.length, tail: Buffer.from(stored) },
    stderr: { bytes: 0, tail: Buffer.alloc(0) },
    onGap,
  };
  const texts: string[] = [];
  const container = openEngine(`unix://${folder}/sock`).getContainer('c');
  const output = await followOutput(container, (_, chunk) => texts.push(chunk.toString()), from);
  onTestFinished(output.close);
  return { output, onGap, text: () => texts.join('') };
};

describe('output that is followed', () => {
  test.each<[string, Answers]>([
    ['ends a reading too early', { running: [true, false], logs: [{ text: 'one\n' }, { text: 'one\ntwo\n' }] }],
    ['is cut off', { running: [true], logs: [{ text: 'one\n', cut: true }, { text: 'one\ntwo\n' }] }],
    [
      'is cut off at the last reading',
      { running: [false], logs: [{ text: 'one\n', cut: true }, { text: 'one\ntwo\n' }] },
    ],
    [
      'is out of order for a while',
      { running: [true, undefined, false], logs: [{ text: 'one\n' }, { text: 'one\ntwo\n' }] },
    ],
    [
      'keeps a reading open after the end',
      { running: [true, false], logs: [{ text: 'one\n', stays: true }, { text: 'one\ntwo\n' }] },
    ],
  ])('by an engine that %s: each byte comes once', async (_, answers) => {
    const whole = answers.running.at(-1) === true ? { ...answers, running: [true, true, false] } : answers;
    const { output, onGap, text } = await follow(whole, 'on');
    await output.drained(300);
    expect(text()).toBe('e\ntwo\n');
    expect(onGap).not.toHaveBeenCalled();
  });

  test('that cannot be had to its end is given up after a while, and that is said', async () => {
    const { output, onGap, text } = await follow({ running: [true, undefined], logs: [{ text: 'one\n' }] });
    await output.drained(100);
    expect(text()).toBe('one\n');
    expect(onGap).toHaveBeenCalledTimes(1);
  });

  test('is read no further once it is closed', async () => {
    const { output, text } = await follow({ running: [true], logs: [{ text: 'one\n', stays: true }] });
    await vi.waitFor(() => expect(text()).toBe('one\n'));
    output.close();
    await output.drained(5_000);
    expect(text()).toBe('one\n');
  });

  test('of which nothing is known, and that has grown beyond what is kept, may have lost its beginning', async () => {
    const logs = [{ text: 'one\n' }];
    const { output, onGap, text } = await follow({ running: [true, false], logs, kept: 'x'.repeat(KEPT_LOG_BYTES) });
    onGap.mockImplementation(() => expect(text()).toBe(''));
    await output.drained(300);
    expect([text(), onGap.mock.calls.length]).toEqual(['one\n', 1]);
  });
});
