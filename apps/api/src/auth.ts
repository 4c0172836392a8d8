import {
  AppError,
  findShownKey,
  isFromThisMachine,
  LOCAL_PRINCIPAL,
  OPERATORS_ONLY,
  type Principal,
  UNAUTHORIZED,
} from '@berth/domain';
import type { ApiKeys, JobRecord } from '@berth/store';
import type { HttpBindings } from '@hono/node-server';
import type { Context, MiddlewareHandler } from 'hono';
import type { Jobs } from './jobs.js';
import { type CheckSignature, isForObjects } from './object-auth.js';
import { readJobId } from './request-input.js';
import { readSession } from './session.js';

/** Anyone may ask for these: they name no user and no job. Everything else, known or not, is behind a key. */
const OPEN =
  /^\/(?:|health|ready|metrics|openapi\.json|docs|docs\/[^/]+|swagger|swagger\/start\.js|api-docs\/openapi\.json|dashboard\/login)$/;

/** How long a stream may outlive its key, at most. */
const RECHECK_MS = 15_000;

export interface AuthOptions {
  /** For what is asked with a signature instead of a key. */
  checkSignature: CheckSignature;
  keys: Pick<ApiKeys, 'verify' | 'find' | 'readCookieSecret'>;
  /** Whoever reaches the port is the local user until the first key is made, and not only who asks from this machine. */
  openWithoutKeys: boolean;
  /** Puts a refusal into the words of a format that has others than problem+json. Undefined: it has not. */
  toRefusal: (c: Context, error: unknown) => Response | undefined;
}

const isReading = (c: Context): boolean => c.req.method === 'GET' || c.req.method === 'HEAD';

const toRemoteAddress = (c: Context): string | undefined =>
  (c.env as Partial<HttpBindings> | undefined)?.incoming?.socket.remoteAddress;

/**
 * Finds out who asks, before any route does. A request that shows no key, or one that is wrong, expired or revoked, is refused in one
 * way, which costs one hash and one lookup. A cookie of the dashboard's sign-in only counts for reading, so that no page of another
 * site can do anything with it.
 */
export const authenticate = ({ keys, checkSignature, openWithoutKeys, toRefusal }: AuthOptions): MiddlewareHandler => {
  const identify = async (c: Context): Promise<Principal> => {
    const header = (name: string) => c.req.header(name);
    const shown = findShownKey(header);
    const session = shown === undefined && isReading(c) ? await readSession(c, keys) : undefined;
    const verdict = session === undefined ? await keys.verify(shown) : await keys.find(session.key_id);
    if (verdict.kind === 'valid') return verdict.principal;
    const isLocal = openWithoutKeys || isFromThisMachine(toRemoteAddress(c), header);
    if (verdict.kind === 'no_keys' && shown === undefined && isLocal) return LOCAL_PRINCIPAL;
    throw new AppError('unauthorized', UNAUTHORIZED);
  };
  return async (c, next) => {
    if (OPEN.test(c.req.path)) return next();
    if (isForObjects(c)) {
      await checkSignature(c);
      c.set('identify', async () => undefined);
      return next();
    }
    try {
      c.set('principal', await identify(c));
      c.set('identify', () => identify(c));
    } catch (error) {
      const refusal = toRefusal(c, error);
      if (refusal) return refusal;
      throw error;
    }
    return next();
  };
};

/** Who asks. */
export const readPrincipal = (c: Context): Principal => {
  const principal: Principal | undefined = c.get('principal');
  if (!principal) throw new Error(`${c.req.path} is open to all, and asks who asks`);
  return principal;
};

/** For answers that take long: calls once the key is good no more. Returns what ends the watch. A broker that is away says nothing. */
export const watchKey = (c: Context, onRefused: () => void): (() => void) => {
  const identify: () => Promise<Principal> = c.get('identify');
  const look = (): void => {
    identify().catch((error) => {
      if (error instanceof AppError && error.code === 'unauthorized') onRefused();
    });
  };
  const timer = setInterval(look, RECHECK_MS);
  return () => clearInterval(timer);
};

/** For what only operators may do. Throws AppError `forbidden`. */
export const requireOperator = (c: Context): Principal => {
  const principal = readPrincipal(c);
  if (principal.role !== 'operator') throw new AppError('forbidden', OPERATORS_ONLY);
  return principal;
};

/** Whether the asker may see and change what belongs to `user`. What they may not see does not exist for them. */
export const isOwn = (c: Context, { user }: { user: string }): boolean => {
  const principal = readPrincipal(c);
  return principal.role === 'operator' || principal.user === user;
};

/** The job that the path names by `{id}`. Throws AppError `not_found`, in the same words, where there is none or it is another user's. */
export const readOwnJob = async (c: Context, { read }: Pick<Jobs, 'read'>): Promise<JobRecord> => {
  const job = await read(readJobId(c));
  if (!isOwn(c, job)) throw new AppError('not_found', 'There is no such job.');
  return job;
};

/** Whose jobs the asker may list: undefined means everybody's. Throws AppError `forbidden` where a user asks for another's. */
export const toListedUser = (c: Context, asked: string | undefined): string | undefined => {
  const { user, role } = readPrincipal(c);
  if (role === 'operator') return asked;
  if (asked !== undefined && asked !== user) throw new AppError('forbidden', OPERATORS_ONLY);
  return user;
};
