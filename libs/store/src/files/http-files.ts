import type { IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import {
  type ByteRange,
  FileMissing,
  type FileStore,
  FilesUnavailable,
  requireObjectName,
  type StoredObject,
  type Written,
} from './file-store.js';
import { createMeter, readMetered } from './metered-source.js';
import { createAsk, readText, type ToUnavailable, toFault } from './object-requests.js';
import { toObjectStream } from './object-stream.js';

const toTarget = (name: string): string => {
  requireObjectName(name);
  return `/${name}`;
};

const toRange = ({ start, end }: ByteRange): Record<string, string> =>
  start === 0 && end === undefined ? {} : { range: `bytes=${start}-${end === undefined ? '' : end - 1}` };

const readWritten = async (answer: IncomingMessage, toUnavailable: ToUnavailable): Promise<Written> => {
  try {
    return JSON.parse(await readText(answer)) as Written;
  } catch (error) {
    throw toUnavailable(error);
  }
};

export interface HttpFilesOptions {
  /** Of the API, for example `http://10.0.0.1:8000`. */
  url: string;
  secret: string;
}

/** Objects in the API's own store, for a machine that shares no disk with it. */
export const openHttpFiles = (options: HttpFilesOptions): FileStore => {
  const { ask, upload, toUnavailable, close } = createAsk(options);

  const stat = async (name: string): Promise<StoredObject | undefined> => {
    const answer = await ask({ method: 'HEAD', target: toTarget(name) });
    answer.resume();
    if (answer.statusCode === 404) return undefined;
    if (answer.statusCode !== 200) throw await toFault(answer);
    const changed_at = Date.parse(answer.headers['last-modified'] ?? '');
    return { name, bytes: Number(answer.headers['content-length']), changed_at };
  };

  const readNothing = async (name: string): Promise<Readable> => {
    if (!(await stat(name))) throw new FileMissing(name);
    return Readable.from([]);
  };

  return {
    stat,
    async put(name, source, more = {}) {
      const target = toTarget(name);
      const meter = createMeter(more);
      const answer = await upload(target, readMetered(source, meter, more.signal));
      if (answer.statusCode !== 200) throw await toFault(answer);
      const stored = await readWritten(answer, toUnavailable);
      const written = meter.written();
      if (stored.sha256 === written.sha256) return written;
      throw new FilesUnavailable(`The API has stored other bytes than it was sent as ${name}`);
    },
    async read(name, range = { start: 0 }) {
      if (range.end !== undefined && range.end <= range.start) return readNothing(name);
      const answer = await ask({ method: 'GET', target: toTarget(name), headers: toRange(range) });
      const { statusCode } = answer;
      if (statusCode === 200 || statusCode === 206) {
        return toObjectStream(answer, toUnavailable);
      }
      if (statusCode === 416) answer.resume();
      if (statusCode === 416) return Readable.from([]);
      const fault = await toFault(answer);
      throw statusCode === 404 ? new FileMissing(name) : fault;
    },
    async remove(name) {
      const answer = await ask({ method: 'DELETE', target: toTarget(name) });
      if (answer.statusCode !== 200 && answer.statusCode !== 204) throw await toFault(answer);
      answer.resume();
    },
    async *list(prefix) {
      const answer = await ask({ method: 'GET', target: `?${new URLSearchParams({ prefix })}` });
      if (answer.statusCode !== 200) throw await toFault(answer);
      try {
        for await (const line of createInterface({ input: answer })) yield JSON.parse(line) as StoredObject;
      } catch (error) {
        throw toUnavailable(error);
      } finally {
        answer.destroy();
      }
      if (!answer.complete) throw new FilesUnavailable('The API broke off its list of objects');
    },
    async close() {
      close();
    },
  };
};
