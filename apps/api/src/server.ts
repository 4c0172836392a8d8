import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { AppError, type ErrorCode } from '@berth/domain';
import { getRequestListener } from '@hono/node-server';
import { toProblem, toProblemResponse } from './errors.js';
import { isUpload } from './upload-body.js';

const MAX_HEADERS = 100;
/** The headers of a request must have arrived after so long, checked twice a second, and after as long again its body, unless it is an upload. */
const ARRIVAL_MS = 9_500;
const CHECK_MS = 250;
/** How long an ending server lets answers go out before it cuts the rest. */
const GRACE_MS = 3_000;

interface ServerOptions {
  fetch: (request: Request, env: unknown) => Response | Promise<Response>;
  host: string;
  port: number;
  maxConnections: number;
}

export interface HttpServer {
  host: string;
  port: number;
  /** Stops accepting, lets answers finish for a few seconds, then cuts what is left. */
  close(): Promise<void>;
}

const refuse = (outgoing: ServerResponse, code: ErrorCode, detail: string): void => {
  const problem = toProblem(new AppError(code, detail));
  outgoing.writeHead(problem.status, { 'content-type': 'application/problem+json', connection: 'close' });
  outgoing.end(JSON.stringify(problem));
};

/** What Node lets through and nobody honest sends. */
const findMisuse = (incoming: IncomingMessage): [ErrorCode, string] | undefined => {
  if (incoming.rawHeaders.length > 2 * MAX_HEADERS)
    return ['headers_too_large', `Send at most ${MAX_HEADERS} headers.`];
  if (incoming.httpVersionMajor < 1) return ['invalid_request', 'The request names no HTTP version.'];
  if (!incoming.url?.startsWith('/')) return ['invalid_request', 'The request target must be a path.'];
  return undefined;
};

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';

/** Node's own limit knows no exceptions. */
const limitArrival = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
  if (!hasBody(incoming) || isUpload(incoming)) return;
  const limit = setTimeout(() => {
    if (incoming.complete || incoming.destroyed) return;
    if (!outgoing.headersSent) incoming.socket.write('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n');
    incoming.socket.destroySoon();
  }, ARRIVAL_MS);
  incoming.once('close', () => clearTimeout(limit));
};

const listen = (server: Server, host: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });

/** Serves an app with limits on what a connection may cost. */
export const openServer = async ({ fetch, host, port, maxConnections }: ServerOptions): Promise<HttpServer> => {
  const answer = getRequestListener(fetch, {
    overrideGlobalObjects: true,
    errorHandler: () =>
      toProblemResponse(new AppError('invalid_request', 'The request line or the Host is not valid.')),
  });
  const serve = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    outgoing.setHeader('x-content-type-options', 'nosniff');
    limitArrival(incoming, outgoing);
    const misuse = findMisuse(incoming);
    if (misuse) refuse(outgoing, ...misuse);
    else void answer(incoming, outgoing);
  };
  const server = createServer(
    { headersTimeout: ARRIVAL_MS, requestTimeout: 0, connectionsCheckingInterval: CHECK_MS, noDelay: true },
    serve,
  );
  server.on('checkContinue', (incoming: IncomingMessage, outgoing: ServerResponse) => {
    // Whoever reads an upload invites it: what is refused is not sent in vain.
    if (!isUpload(incoming)) outgoing.writeContinue();
    serve(incoming, outgoing);
  });
  server.maxHeadersCount = 0;
  server.maxConnections = maxConnections;
  await listen(server, host, port);
  const address = server.address();
  return { host, port: typeof address === 'object' && address ? address.port : port, close: () => closeServer(server) };
};

const closeServer = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    const idle = setInterval(() => server.closeIdleConnections(), 50);
    const cut = setTimeout(() => server.closeAllConnections(), GRACE_MS);
    server.close(() => {
      clearInterval(idle);
      clearTimeout(cut);
      resolve();
    });
  });
