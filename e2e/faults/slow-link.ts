import { rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** A way to the broker on which every byte is late. For what packets thrown away cannot show. */
export interface SlowLink {
  url: string;
  /** How late, in each direction. */
  delay_ms: number;
  close(): Promise<void>;
}

/** `target` and `path` are the broker's socket and ours. */
export const openSlowLink = async (target: string, path: string): Promise<SlowLink> => {
  const sockets = new Set<Socket>();
  rmSync(path, { force: true });
  const server = createServer((client) => {
    const broker = connect(target);
    for (const [from, to] of [
      [client, broker],
      [broker, client],
    ] as const) {
      sockets.add(from);
      // Nothing overtakes what was sent before, also where the delay has become shorter meanwhile.
      let sent: Promise<unknown> = Promise.resolve();
      from.on('data', (data) => {
        sent = Promise.all([sent, delay(link.delay_ms)]).then(() => to.write(data));
      });
      from.on('error', () => undefined);
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  }).listen(path);
  await new Promise((resolve) => server.once('listening', resolve));
  const link: SlowLink = {
    url: `unix://${path}`,
    delay_ms: 0,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
  return link;
};
