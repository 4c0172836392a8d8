import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseRedisUrl } from '@berth/store';
import { onTestFinished } from 'vitest';

/** A way to the broker that can be cut and mended. */
export const openCuttableBroker = async () => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-cut-'));
  const path = join(folder, 'redis.sock');
  const target = parseRedisUrl(process.env.REDIS_URL ?? '');
  const sockets = new Set<Socket>();
  const join2 = (client: Socket) => {
    const to = target.path ? connect(target.path) : connect(target.port ?? 6379, target.host ?? '127.0.0.1');
    for (const socket of [client, to]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        client.destroy();
        to.destroy();
        sockets.delete(socket);
      });
    }
    client.pipe(to).pipe(client);
  };
  let server: Server | undefined;
  const mend = async () => {
    server = createServer(join2).listen(path);
    await once(server, 'listening');
  };
  const cut = async () => {
    const closed = new Promise((resolve) => server?.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  onTestFinished(async () => {
    await cut();
    rmSync(folder, { recursive: true, force: true });
  });
  await mend();
  return { url: `unix://${path}`, cut, mend };
};
