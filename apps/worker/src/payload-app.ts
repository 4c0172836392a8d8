import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { AppError, isFromOtherSite, OTHER_SITE, type ServiceState } from '@berth/domain';
import {
  type FileStore,
  FilesUnavailable,
  FileTooLarge,
  FormError,
  FormTooLarge,
  isUnavailable,
  MAX_JOB_NUMBER,
  type OutputNames,
  UploadsFull,
  watchPace,
} from '@berth/store';
import { type Context, Hono } from 'hono';
import type { Logger } from 'pino';
import { answerZip } from './answer-zip.js';
import { noteUpload } from './arrival.js';
import { readCpuLoad } from './cpu-load.js';
import { findPack, type Payload, type Payloads } from './payloads.js';
import { authenticate, type RunnerAuthOptions, type RunnerEnv } from './runner-auth.js';

export interface PayloadAppOptions extends RunnerAuthOptions {
  payloads: Payloads;
  files: FileStore;
  /** Why nothing is begun now, and what to do; undefined: it is. */
  findRefusal: () => string | undefined;
  log: Logger;
}

type PayloadContext = Context<RunnerEnv>;
type Status = 200 | 400 | 401 | 403 | 404 | 409 | 429 | 500 | 503;

/** The bytes that came are not sent back: `input` is empty. Where it runs, and as which process, is nobody's to know. */
const toBody = (id: number, state: ServiceState) => {
  const killed = state === 'Killed';
  return { id, input: {}, status: state, loc: '', pid: 0, killed };
};

const answer = (c: PayloadContext, status: Status, id = 0, state: ServiceState = 'Unknown'): Response =>
  c.json(toBody(id, state), status);

/** Of its files all were there a moment ago: whose removal came in between may send them again. */
const TRY_AGAIN: ReadonlySet<string> = new Set(['unavailable', 'input_not_found']);

const toStatus = (error: unknown): Status => {
  if (error instanceof FormError || error instanceof FormTooLarge || error instanceof FileTooLarge) return 400;
  if (error instanceof UploadsFull) return 429;
  if (error instanceof FilesUnavailable || isUnavailable(error)) return 503;
  if (!(error instanceof AppError)) return 500;
  if (error.code === 'over_quota') return 429;
  return TRY_AGAIN.has(error.code) ? 503 : 400;
};

/** What the client can act on, in words. */
const findReason = (error: unknown): string | undefined => {
  const isTheirs = [AppError, FormError, FormTooLarge, FileTooLarge, UploadsFull].some((kind) => error instanceof kind);
  return isTheirs ? (error as Error).message : undefined;
};

/** From here on the body may take as long as it likes to come, as long as it comes. */
async function* readBody({ env: { incoming } }: PayloadContext): AsyncGenerator<Uint8Array> {
  noteUpload(incoming as IncomingMessage);
  const unwatch = watchPace(incoming as IncomingMessage);
  try {
    yield* (incoming as unknown as Readable).iterator({ destroyOnReturn: false });
  } finally {
    unwatch();
  }
}

type Use = (c: PayloadContext, payload: Payload) => Promise<Response>;

const createSendZip =
  (files: FileStore) =>
  async (c: PayloadContext, names: OutputNames | undefined): Promise<Response | undefined> =>
    names && answerZip(files, names, { method: c.req.method, outgoing: c.env.outgoing as ServerResponse });

const guard = (app: Hono<RunnerEnv>, options: RunnerAuthOptions): void => {
  for (const path of ['/submit', '/retrieve/*', '/retrieve_partial/*', '/kill/*', '/load']) {
    app.use(path, authenticate(options));
    app.use(path, async (c, next) => {
      const isSafe = c.req.method === 'GET' || c.req.method === 'HEAD';
      if (!isSafe && isFromOtherSite((name) => c.req.header(name))) return c.json({ detail: OTHER_SITE }, 403);
      return next();
    });
  }
};

/** What the job orchestrator's server asked of its clients, on the worker's own port. */
export const createPayloadApp = (options: PayloadAppOptions): Hono<RunnerEnv> => {
  const { payloads, files, log } = options;
  const app = new Hono<RunnerEnv>();

  const withPayload =
    (use: Use) =>
    async (c: PayloadContext): Promise<Response> => {
      const id = /^\d{1,10}$/.test(c.req.param('id') ?? '') ? Number(c.req.param('id')) : Number.NaN;
      if (!(id <= MAX_JOB_NUMBER)) return answer(c, 400);
      const found = await payloads.find(id, c.var.principal);
      return found ? use(c, found) : answer(c, 404);
    };
  const sendZip = createSendZip(files);
  guard(app, options);
  app.post('/submit', async (c) => {
    const refusal = options.findRefusal();
    if (refusal !== undefined) return c.json({ detail: refusal }, 503, { 'retry-after': '10' });
    const form = { headers: c.req.header(), body: readBody(c) };
    const { id, status } = await payloads.submit(c.var.principal.user, form);
    return answer(c, 200, id, status);
  });
  app.get(
    '/retrieve/:id',
    withPayload(async (c, payload) => {
      const { id, status } = payload;
      if (status !== 'Completed') return answer(c, 200, id, status);
      return (await sendZip(c, findPack(payload))) ?? answer(c, 200, id, 'Cleaned');
    }),
  );
  app.get(
    '/retrieve_partial/:id',
    withPayload(async (c, payload) => {
      const live = await sendZip(c, await payloads.findLivePack(payload));
      return live ?? (await sendZip(c, findPack(payload))) ?? answer(c, 404, payload.id, payload.status);
    }),
  );
  app.post(
    '/kill/:id',
    withPayload(async (c, payload) =>
      (await payloads.kill(payload)) ? c.body(null, 200) : answer(c, 409, payload.id, payload.status),
    ),
  );
  app.get('/load', async (c) => c.json(await readCpuLoad(), 200));
  app.get('/', (c) => c.json({ message: 'pong' }, 200));
  app.onError((err, c) => {
    const status = toStatus(err);
    if (status === 500) log.error({ err }, 'a request met a bug');
    else log.info({ status, reason: err.message }, 'a payload was refused');
    return c.json({ ...toBody(0, 'Unknown'), message: findReason(err) }, status);
  });
  return app;
};
