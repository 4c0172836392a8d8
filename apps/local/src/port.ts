import { type AddressInfo, createServer } from 'node:net';
import { LocalError } from './local-error.js';

export interface WantedPort {
  host: string;
  port: number;
  /** The variable that changes it. */
  variable: string;
  purpose: string;
}

/** Throws a LocalError where something else listens there. Someone may still take it a moment later. */
export const checkPortIsFree = ({ host, port, variable, purpose }: WantedPort): Promise<void> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'is in use by another program' : `cannot be used (${error.message})`;
      reject(
        new LocalError(
          `Port ${port} on ${host}, which ${purpose} wants, ${why}. Stop that program, or set ${variable} to another port: ${variable}=${port + 100} npm start`,
        ),
      );
    });
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve()));
  });

/** A port of 127.0.0.1 that nothing listens on. Someone may still take it a moment later. */
export const findFreePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
