import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

const SOCKET = '.s.PGSQL.5432';

/** A way to the tests' PostgreSQL that can be cut, mended, and held up with every connection open. */
export const openCuttablePostgres = async () => {
  const url = new URL(process.env.BERTH_TEST_DATABASE_URL ?? '');
  const target = join(url.searchParams.get('host') ?? '', SOCKET);
  const folder = mkdtempSync(join(tmpdir(), 'berth-cut-'));
  url.searchParams.set('host', folder);
  const sockets = new Set<Socket>();
  const join2 = (client: Socket) => {
    const to = connect(target);
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
    server = createServer(join2).listen(join(folder, SOCKET));
    await once(server, 'listening');
  };
  const cut = async () => {
    const closed = new Promise((resolve) => (server?.listening ? server.close(resolve) : resolve(undefined)));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  onTestFinished(async () => {
    await cut();
    rmSync(folder, { recursive: true, force: true });
  });
  await mend();
  return { url: url.href, cut, mend };
};
