import { connect, createServer, type Socket } from 'node:net';

/** Stands between the worker and the engine, passes every byte on, and notes when a create call comes by. */
export interface EngineProxy {
  /** As in DOCKER_HOST. */
  host: string;
  /** When (by performance.now) the create call of a job's container was sent; settles when it is. */
  whenCreated(job_id: string): Promise<number>;
  close(): Promise<void>;
}

const CREATE = /^POST \/(?:v[\d.]+\/)?containers\/create\?name=berth-([0-9a-f-]{36})-e/;
const LONGEST_HEAD = 256;

/** `engine` is the path of the engine's socket, `path` that of ours. */
export const openEngineProxy = async (engine: string, path: string): Promise<EngineProxy> => {
  const seen = new Map<string, number>();
  const waiting = new Map<string, (at: number) => void>();
  const sockets = new Set<Socket>();
  const note = (job_id: string): void => {
    const at = performance.now();
    seen.set(job_id, at);
    waiting.get(job_id)?.(at);
  };
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const upstream = connect({ path: engine, allowHalfOpen: true });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => sockets.delete(socket));
    }
    client.on('data', (chunk: Buffer) => {
      const job_id = CREATE.exec(chunk.toString('latin1', 0, LONGEST_HEAD))?.[1];
      if (job_id !== undefined) note(job_id);
    });
    client.pipe(upstream);
    upstream.pipe(client);
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  return {
    host: `unix://${path}`,
    whenCreated: (job_id) => {
      const at = seen.get(job_id);
      return at === undefined ? new Promise((resolve) => waiting.set(job_id, resolve)) : Promise.resolve(at);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
};
