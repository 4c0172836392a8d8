import type { ApiKeys } from '@berth/store';
import type { Context } from 'hono';
import { deleteCookie, getSignedCookie, setSignedCookie } from 'hono/cookie';

const NAME = 'berth_session';
const HOURS = 12;

/** Who has shown a key at the dashboard's sign-in. The key itself is not in the cookie. */
export interface Session {
  key_id: string;
}

type Secrets = Pick<ApiKeys, 'readCookieSecret'>;

const OPTIONS = { path: '/', httpOnly: true, sameSite: 'Strict' } as const;

/** Strict: the browser sends it only with what pages of this very site ask for. */
export const writeSession = async (c: Context, { key_id }: Session, keys: Secrets): Promise<void> => {
  const seconds = HOURS * 3600;
  const value = `${key_id}.${Date.now() + seconds * 1000}`;
  const secure = c.req.header('x-forwarded-proto') === 'https';
  await setSignedCookie(c, NAME, value, await keys.readCookieSecret(), { ...OPTIONS, secure, maxAge: seconds });
};

/** What the request's cookie says, if it is one of ours and not too old. The key may have been revoked since: look it up. */
export const readSession = async (c: Context, keys: Secrets): Promise<Session | undefined> => {
  if (!c.req.header('cookie')?.includes(`${NAME}=`)) return undefined;
  const value = await getSignedCookie(c, await keys.readCookieSecret(), NAME);
  const [, key_id, until] = /^([a-z0-9]{8})\.(\d+)$/.exec(value || '') ?? [];
  return key_id !== undefined && Number(until) > Date.now() ? { key_id } : undefined;
};

export const clearSession = (c: Context): void => {
  deleteCookie(c, NAME, OPTIONS);
};
