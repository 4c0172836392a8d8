import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type FileStore, FilesUnavailable } from '@berth/store';
import { expect, it, onTestFinished } from 'vitest';

/** A server that breaks every answer off in the midst of its bytes. */
const openBreaking = async (): Promise<string> => {
  const server = createServer((_, answer) => {
    answer.writeHead(200, { 'content-length': 1_000_000 });
    answer.write(Buffer.alloc(100_000), () => answer.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};

/** Of what the contract says of a stream that breaks off: for stores that read from somewhere else. */
export const itBreaksOff = (open: (url: string) => FileStore): void => {
  it('breaks a read off with FilesUnavailable, also where nobody reads yet', async () => {
    const files = open(await openBreaking());
    onTestFinished(() => files.close());
    const early = await files.read('a');
    const read = async (stream: AsyncIterable<Uint8Array>) => {
      for await (const _ of stream);
    };
    await expect(read(await files.read('a'))).rejects.toBeInstanceOf(FilesUnavailable);
    await expect(read(early)).rejects.toBeInstanceOf(FilesUnavailable);
  });
};
