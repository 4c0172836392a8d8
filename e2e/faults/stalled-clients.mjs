// Runs in the network namespace of an API. Opens clients of a job's streams that do not behave, and a few that do, and asks the API
// questions meanwhile. Says on its output, one JSON line each, what it saw; ends when all that wait for an end have come to it.
// At SIGUSR2 those come back that have been let go. ARGV: port, job id, and as JSON how many clients of each kind, and the kinds as in
// stalled-clients.ts.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const [port, job_id, plan] = process.argv.slice(2);
const { clients, kinds } = JSON.parse(plan);
const base = `http://127.0.0.1:${port}`;

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const letGo = once(process, 'SIGUSR2');

/** An event stream, parsed as it comes: the hash of the log's text, and the last id that came whole. */
const createReader = () => {
  const hash = createHash('sha256');
  let head = '';
  let body = Buffer.alloc(0);
  let text = '';
  const seen = { bytes: 0, last_id: '', end: undefined, events: 0, others: [] };
  const takeFrame = (frame) => {
    const field = (name) => new RegExp(`^${name}: (.*)$`, 'm').exec(frame)?.[1];
    if (!frame.includes('data: ')) return;
    const data = JSON.parse(field('data'));
    const event = field('event');
    if (event === 'end') seen.end = data;
    else if (event === 'event') seen.events += 1;
    else if (event !== 'log') seen.others.push(event);
    else if (data.stream === 'stdout') {
      hash.update(data.text);
      seen.bytes += data.text.length;
    }
    seen.last_id = field('id') ?? seen.last_id;
  };
  /** Whole chunks of a chunked answer. */
  const dechunk = () => {
    for (;;) {
      const line = body.indexOf('\r\n');
      if (line === -1) return;
      const size = Number.parseInt(body.subarray(0, line).toString(), 16);
      if (body.length < line + 2 + size + 2) return;
      text += body.subarray(line + 2, line + 2 + size).toString();
      body = body.subarray(line + 2 + size + 2);
      if (size === 0) return;
    }
  };
  return {
    seen,
    /** For the next connection. */
    reset() {
      head = '';
      body = Buffer.alloc(0);
      text = '';
    },
    take(chunk) {
      body = body.length === 0 ? chunk : Buffer.concat([body, chunk]);
      if (head === '') {
        const end = body.indexOf('\r\n\r\n');
        if (end === -1) return;
        head = body.subarray(0, end).toString();
        body = body.subarray(end + 4);
        if (!head.startsWith('HTTP/1.1 200')) seen.others.push(head);
      }
      dechunk();
      const frames = text.split('\n\n');
      text = frames.pop();
      for (const frame of frames) takeFrame(frame);
    },
    result: () => ({ ...seen, sha256: hash.copy().digest('hex') }),
  };
};

const open = ({ address, path }, last_id) => {
  const socket = connect({ port: Number(port), host: '127.0.0.1', localAddress: address });
  const resume = last_id ? `Last-Event-ID: ${last_id}\r\n` : '';
  socket.on('error', () => {});
  socket.write(
    `GET /v1/jobs/${job_id}/${path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n${resume}\r\n`,
  );
  return socket;
};
const readFirst = async (socket) => (await once(socket, 'data'))[0];

/** Reads the head and then nothing more. */
const stall = async (kind) => {
  const socket = open(kind);
  await readFirst(socket);
  socket.pause();
  return socket;
};

/** Reads to the end, with a pause behind each piece where one is asked for. */
const follow = async (kind, { reader = createReader(), pause_ms = 0, last_id } = {}) => {
  const socket = open(kind, last_id);
  socket.on('data', (chunk) => {
    reader.take(chunk);
    if (reader.seen.end) return void socket.destroy();
    if (pause_ms === 0) return;
    socket.pause();
    setTimeout(() => socket.resume(), pause_ms);
  });
  await once(socket, 'close');
  return reader;
};

/** Stalls until it is told that it has been let go, reads what had come by then, and comes back for the rest. */
const comeBack = async (kind) => {
  const reader = createReader();
  const socket = open(kind);
  reader.take(await readFirst(socket));
  socket.pause();
  await letGo;
  socket.on('data', (chunk) => reader.take(chunk));
  const gone = once(socket, 'close');
  socket.resume();
  await gone;
  const was_cut = reader.seen.end === undefined;
  const { last_id } = reader.seen;
  reader.reset();
  await follow(kind, { reader, last_id });
  return { ...reader.result(), was_cut, from: last_id };
};

const BEHAVIOURS = {
  stalled: async (kind) => void (await stall(kind)),
  gone: async (kind) => void (await stall(kind)),
  vanished: async (kind) => void (await stall(kind)).resetAndDestroy(),
  slow: async (kind) => (await follow(kind, { pause_ms: 250 })).result(),
  honest: async (kind) => (await follow(kind)).result(),
  returning: comeBack,
};

let asking = true;
const ask = async () => {
  for (let i = 0; asking; i += 1) {
    const began = performance.now();
    const post = { method: 'POST', headers: { 'content-type': 'application/json' } };
    const body = JSON.stringify({ command: 'true', cpus: 0.05, memory_mb: 16 });
    const response = await (i % 4 === 0 ? fetch(`${base}/v1/jobs`, { ...post, body }) : fetch(`${base}/health`));
    const answer = await response.json().catch(() => ({}));
    say({
      asked: i % 4 === 0 ? 'submit' : 'health',
      status: response.status,
      ms: performance.now() - began,
      job_id: answer.job_id,
    });
    await delay(500);
  }
};

const asked = ask();
const ends = Object.entries(clients).flatMap(([name, count]) => {
  const kind = kinds[name];
  return Array.from({ length: count }, async () => {
    const result = await BEHAVIOURS[kind.behaviour](kind);
    if (result) say({ kind: name, ...result });
  });
});
await Promise.all(ends);
asking = false;
await asked;
say({ over: true });
process.exit(0);
