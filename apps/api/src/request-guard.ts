import { AppError, isLoopbackHost } from '@berth/domain';
import type { Context, MiddlewareHandler } from 'hono';
import { isForObjects } from './object-auth.js';

/** The path as the client wrote it, without the query. */
const toRawPath = (url: string): string => {
  const begin = url.indexOf('/', url.indexOf('//') + 2);
  const end = url.indexOf('?', begin);
  return end === -1 ? url.slice(begin) : url.slice(begin, end);
};

/** Escapes that could mean another path to somebody behind us, or to nobody anything. */
const isBadPath = (path: string): boolean => {
  if (!path.includes('%')) return false;
  if (/%(?:00|2f|5c)/i.test(path)) return true;
  try {
    decodeURIComponent(path);
    return false;
  } catch {
    return true;
  }
};

/**
 * Looks at a request before any route does. On a loopback bind the Host must be a loopback name: a page on the internet whose
 * name was pointed at 127.0.0.1 gets its own name refused, and cannot submit jobs through somebody's browser. `toRefusal` words the refusal of a bad path
 * for a wire format that is kept.
 */
export const guardRequests =
  (loopbackOnly: boolean, toRefusal: (c: Context, error: AppError) => Response | undefined): MiddlewareHandler =>
  async (c, next) => {
    const host = c.req.header('host') ?? new URL(c.req.url).host;
    // Workers of other machines call it as it is called there; what they sign no page in a browser can.
    if (loopbackOnly && !isLoopbackHost(host) && !isForObjects(c)) {
      throw new AppError('host_not_allowed', 'This API listens on loopback only: call it as localhost or 127.0.0.1.');
    }
    if (!isBadPath(toRawPath(c.req.url))) return next();
    const error = new AppError('invalid_request', 'The path has a bad escape in it.');
    const refusal = toRefusal(c, error);
    if (!refusal) throw error;
    return refusal;
  };

interface Pattern {
  method: string;
  matches: RegExp;
}

const toPattern = ({ method, path }: { method: string; path: string }): Pattern => ({
  method,
  matches: new RegExp(`^${path.replace(/[.+?^$()|[\]\\]/g, '\\$&').replace(/\/:[^/]+(?:\{[^/]*\})?/g, '/[^/]+')}$`),
});

/** The answer where no route matches: 405 where another method would, else 404. */
export const createNotFound = (routes: () => { method: string; path: string }[]) => {
  let patterns: Pattern[] | undefined;
  return (c: Context): AppError => {
    patterns ??= routes()
      .filter((route) => route.method !== 'ALL' && !route.path.includes('*'))
      .map(toPattern);
    const methods = new Set(patterns.filter(({ matches }) => matches.test(c.req.path)).map(({ method }) => method));
    if (methods.size === 0) return new AppError('not_found', 'There is nothing here. See /docs.');
    if (methods.has('GET')) methods.add('HEAD');
    const allow = [...methods].sort().join(', ');
    return new AppError('method_not_allowed', `Only ${allow} is possible here.`, { details: { allow } });
  };
};
