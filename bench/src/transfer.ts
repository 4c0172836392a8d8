import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { type IncomingMessage, type RequestOptions, request } from 'node:http';
import { pipeline } from 'node:stream/promises';

interface Where {
  port: number;
  path: string;
}

const send = (options: RequestOptions) => {
  const sent = request(options);
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    sent.once('response', resolve);
    sent.once('error', reject);
  });
  return { sent, answered };
};

const requireStatus = (answer: IncomingMessage, path: string, expected: number[]): void => {
  if (!expected.includes(answer.statusCode ?? 0)) throw new Error(`${path} answered ${answer.statusCode}`);
};

const readText = async (answer: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
};

/** Sends a file as the body of a PUT; returns what was answered. */
export const putFile = async ({ port, path }: Where, file: string): Promise<string> => {
  const headers = { 'content-length': (await stat(file)).size, 'content-type': 'application/octet-stream' };
  const { sent, answered } = send({ host: '127.0.0.1', port, path, method: 'PUT', headers });
  const [answer] = await Promise.all([answered, pipeline(createReadStream(file), sent)]);
  requireStatus(answer, path, [200, 201]);
  return readText(answer);
};

/** Reads an answer to its end; returns how many bytes it had. */
export const getBytes = async ({ port, path }: Where): Promise<number> => {
  const { sent, answered } = send({ host: '127.0.0.1', port, path });
  sent.end();
  const answer = await answered;
  requireStatus(answer, path, [200]);
  let size = 0;
  for await (const chunk of answer) size += (chunk as Buffer).length;
  return size;
};

/** Milliseconds until the first bytes of an answer; the rest is not read. */
export const timeFirstBytes = async ({ port, path }: Where): Promise<number> => {
  const begun = performance.now();
  const { sent, answered } = send({ host: '127.0.0.1', port, path });
  sent.end();
  const answer = await answered;
  requireStatus(answer, path, [200]);
  await new Promise((resolve) => answer.once('data', resolve));
  answer.destroy();
  return performance.now() - begun;
};

const MIB = 1024 * 1024;

/** Makes a file of so many MiB that no file system and no compression makes smaller: each MiB is a random one, with its number in it. */
export const writeRandomFile = async (path: string, mib: number): Promise<void> => {
  const block = Buffer.allocUnsafe(MIB);
  for (let i = 0; i < MIB; i += 4) block.writeUInt32LE(Math.floor(Math.random() * 2 ** 32), i);
  const file = await open(path, 'w');
  for (let i = 0; i < mib; i += 1) {
    block.writeUInt32LE(i, 0);
    await file.write(block);
  }
  await file.close();
};
