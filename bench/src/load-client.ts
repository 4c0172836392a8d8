import { connect } from 'node:net';
import { runLanes } from './lanes.js';

/** A process of its own that sends one request again and again. It speaks just enough HTTP to cost little beside the server. */
export interface Load {
  port: number;
  path: string;
  body: string;
  /** Status that every answer must have. */
  expect: number;
  count: number;
  lanes: number;
}

export interface LoadResult {
  seconds: number;
  /** One a request. */
  latencies_ms: number[];
}

const HEAD_END = Buffer.from('\r\n\r\n');

/** The length of a whole answer at the front of the bytes, or undefined while some of it is missing. */
const findEnd = (bytes: Buffer): { status: number; end: number } | undefined => {
  const head = bytes.indexOf(HEAD_END);
  if (head === -1) return undefined;
  const text = bytes.toString('latin1', 0, head);
  const length = /\r\ncontent-length: *(\d+)/i.exec(text)?.[1];
  if (length === undefined) throw new Error(`an answer without a content-length: ${text}`);
  const end = head + HEAD_END.length + Number(length);
  return bytes.length < end ? undefined : { status: Number(text.slice(9, 12)), end };
};

interface Lane {
  /** Sends the request and resolves with the answer's status. */
  send(): Promise<number>;
  close(): void;
}

const openLane = async (port: number, request: Buffer): Promise<Lane> => {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let received: Buffer = Buffer.alloc(0);
  let settle: { resolve: (status: number) => void; reject: (error: Error) => void } | undefined;
  socket.on('data', (chunk: Buffer) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    const answer = findEnd(received);
    if (answer === undefined) return;
    received = received.subarray(answer.end);
    settle?.resolve(answer.status);
  });
  socket.on('error', (error) => settle?.reject(error));
  socket.on('close', () => settle?.reject(new Error('the server closed a connection')));
  await new Promise<void>((resolve) => socket.once('connect', resolve));
  return {
    send: () =>
      new Promise((resolve, reject) => {
        settle = { resolve, reject };
        socket.write(request);
      }),
    close: () => {
      settle = undefined;
      socket.destroy();
    },
  };
};

const toRequest = ({ port, path, body }: Load): Buffer =>
  Buffer.from(
    `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );

const run = async (load: Load): Promise<LoadResult> => {
  const request = toRequest(load);
  const lanes = await Promise.all(Array.from({ length: load.lanes }, () => openLane(load.port, request)));
  const free = [...lanes];
  const latencies_ms: number[] = [];
  const begun = performance.now();
  await runLanes(load.count, load.lanes, async () => {
    const lane = free.pop() as Lane;
    const sent = performance.now();
    const status = await lane.send();
    latencies_ms.push(performance.now() - sent);
    free.push(lane);
    if (status !== load.expect) throw new Error(`${load.path} answered ${status} in place of ${load.expect}`);
  });
  const seconds = (performance.now() - begun) / 1000;
  for (const lane of lanes) lane.close();
  return { seconds, latencies_ms };
};

process.on('message', async (load: Load) => {
  process.send?.(await run(load));
});
process.on('disconnect', () => process.exit(0));
