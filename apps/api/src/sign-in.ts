import { AppError } from '@berth/domain';
import type { ApiKeys } from '@berth/store';
import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { readBytes } from './request-body.js';
import { clearSession, writeSession } from './session.js';

const PATH = '/dashboard/login';
const BOARD = '/dashboard';
const MAX_FORM_BYTES = 4_096;

const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/** No scripts, and nothing of what was sent comes back in it. */
const toPage = (notice: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Berth: sign in</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 26rem; margin: 15vh auto; padding: 0 1rem }
input, button { font: inherit; padding: .4rem .6rem; box-sizing: border-box }
input { width: 100%; margin: .3rem 0 .8rem }
[role=alert] { color: #a00 }
form + form { margin-top: 2rem }
</style>
</head>
<body>
<h1>Berth</h1>
${notice === '' ? '' : `<p role="alert">${notice}</p>\n`}<form method="post">
<label for="key">API key of an operator</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus>
<button>Sign in for 12 hours</button>
</form>
<form method="post"><button name="sign_out" value="1">Sign out</button></form>
</body>
</html>
`;

const answer = (c: Context, status: 200 | 401 | 403, notice = ''): Response =>
  c.html(toPage(notice), status, {
    'content-security-policy': POLICY,
    'referrer-policy': 'no-referrer',
    'cache-control': 'no-store',
  });

const isForm = (c: Context): boolean =>
  /^application\/x-www-form-urlencoded *(;|$)/i.test(c.req.header('content-type') ?? '');

/** A page of another site may not sign its reader in as somebody else, or out. Browsers that say nothing of it send no such thing. */
const isFromElsewhere = (c: Context): boolean =>
  !['same-origin', 'none', undefined].includes(c.req.header('sec-fetch-site'));

/** The page at which a browser shows an operator's key once, and gets a cookie for it. */
export const addSignIn = (app: OpenAPIHono, keys: Pick<ApiKeys, 'verify' | 'readCookieSecret'>): void => {
  app.get(PATH, (c) => answer(c, 200));
  app.post(PATH, async (c) => {
    if (!isForm(c)) throw new AppError('unsupported_media_type', 'Send the form of this page.');
    if (isFromElsewhere(c)) throw new AppError('forbidden', 'Sign in on the page itself.');
    const form = new URLSearchParams(Buffer.from(await readBytes(c, MAX_FORM_BYTES)).toString('utf8'));
    if (form.has('sign_out')) {
      clearSession(c);
      return answer(c, 200, 'You are signed out.');
    }
    const verdict = await keys.verify(form.get('key')?.trim());
    if (verdict.kind !== 'valid') return answer(c, 401, 'This key is not valid.');
    if (verdict.principal.role !== 'operator') return answer(c, 403, 'The dashboard is for operators.');
    await writeSession(c, verdict, keys);
    return c.redirect(BOARD, 303);
  });
};

/** A browser that came for the board without a key is led to where it can show one. Undefined: it is something else. */
export const toSignIn = (c: Context, error: unknown): Response | undefined => {
  const wantsPage = c.req.method === 'GET' && (c.req.header('accept') ?? '').includes('text/html');
  const isBoard = c.req.path === BOARD || c.req.path.startsWith(`${BOARD}/`);
  const isRefused = error instanceof AppError && error.code === 'unauthorized';
  return wantsPage && isBoard && isRefused ? c.redirect(PATH, 303) : undefined;
};
