import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ENGINE_SOCKET = '/var/run/docker.sock';

/** The real engine behind a socket of our own, which can be cut as a dying engine cuts it. */
export interface CuttableEngine {
  address: string;
  /** Everything that was sent to the engine, as text. */
  sent(): string;
  /** Ends every connection and takes no new one. */
  cut(): Promise<void>;
  heal(): Promise<void>;
  close(): Promise<void>;
}

export const openCuttableEngine = async (): Promise<CuttableEngine> => {
  const folder = await mkdtemp(join(tmpdir(), 'berth-engine-'));
  const path = join(folder, 'engine.sock');
  const sockets = new Set<Socket>();
  const sent: string[] = [];

  const forward = (client: Socket) => {
    const engine = createConnection(ENGINE_SOCKET);
    client.on('data', (chunk) => sent.push(chunk.toString('latin1')));
    client.pipe(engine).pipe(client);
    for (const [socket, other] of [
      [client, engine],
      [engine, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
  };

  const listen = () =>
    new Promise<Server>((resolve) => {
      const server = createServer({ allowHalfOpen: true }, forward).listen(path, () => resolve(server));
    });
  let server = await listen();

  const cut = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    await closed;
  };

  return {
    address: `unix://${path}`,
    sent: () => sent.join(''),
    cut,
    heal: async () => {
      server = await listen();
    },
    close: async () => {
      await cut();
      await rm(folder, { recursive: true });
    },
  };
};
