import { AppError } from '@berth/domain';
import type { Producer } from '@berth/queue';
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { HonoAdapter } from '@bull-board/hono';
import { serveStatic } from '@hono/node-server/serve-static';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Context, Hono, MiddlewareHandler, Next } from 'hono';
import { timeout } from 'hono/timeout';
import { requireOperator } from './auth.js';
import { toJobPath, toRowTitle, toShownData } from './board-rows.js';
import { toProblemResponse } from './errors.js';

const PATH = '/dashboard';
/** A board that waits for the broker any longer says so. */
const ANSWER_MS = 5_000;

/** The page loads nothing from anywhere else and sends nothing there; nobody frames it. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; " +
  "connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'";

const FOREIGN_LINKS = /<link\b[^>]*\bhref="(?:https?:)?\/\/[^>]*>\s*/gi;

/**
 * The record decides what becomes of a job, and BullMQ only delivers. Whatever the board could change (retry, promote, remove,
 * pause, add, edit, obliterate) would go past the record, and the answer would be a lie. So it only shows.
 */
const onlyShow: MiddlewareHandler = async (c, next) => {
  if (c.req.method === 'GET' || c.req.method === 'HEAD') return next();
  const error = new AppError('method_not_allowed', 'The board only shows jobs. Submit and cancel them under /v1/jobs.');
  return toProblemResponse(error, { allow: 'GET, HEAD' });
};

const onlyOperators: MiddlewareHandler = (c, next) => {
  requireOperator(c);
  return next();
};

const keepAtHome = async (c: Context, next: Next): Promise<void> => {
  await next();
  c.header('content-security-policy', POLICY);
  c.header('referrer-policy', 'no-referrer');
  if (!c.res.headers.get('content-type')?.startsWith('text/html')) return;
  const page = await c.res.text();
  c.res = new Response(page.replace(FOREIGN_LINKS, ''), { status: c.res.status, headers: c.res.headers });
};

const toAdapter = (queue: Producer['queues'][number]): BullMQAdapter => {
  const adapter = new BullMQAdapter(queue, {
    readOnlyMode: true,
    description: `Jobs of the class ${queue.name}`,
    externalJobUrl: ({ data }) => ({ displayText: 'Open the job', href: toJobPath(data) }),
  });
  adapter.setFormatter('name', toRowTitle);
  adapter.setFormatter('data', toShownData);
  return adapter;
};

const createBoard = (queues: Producer['queues']): Hono => {
  const adapter = new HonoAdapter(serveStatic).setBasePath(PATH);
  createBullBoard({
    queues: queues.map(toAdapter),
    serverAdapter: adapter,
    options: {
      uiConfig: {
        boardTitle: 'Berth',
        hideDocsLink: true,
        miscLinks: [
          { text: 'API', url: '/docs' },
          { text: 'Jobs', url: '/v1/jobs' },
          { text: 'Sign in or out', url: '/dashboard/login' },
        ],
      },
    },
  });
  return adapter.registerPlugin();
};

/** Bull Board at /dashboard: what BullMQ holds, one queue a class, for people to look at. */
export const addDashboard = (app: OpenAPIHono, queues: Producer['queues']): void => {
  const unavailable = () => new AppError('unavailable', 'Redis does not answer. Try again in a few seconds.');
  for (const path of [PATH, `${PATH}/*`])
    app.use(path, onlyOperators, onlyShow, keepAtHome, timeout(ANSWER_MS, unavailable as never));
  app.get(`${PATH}/`, (c) => c.redirect(PATH));
  app.route(PATH, createBoard(queues));
};
