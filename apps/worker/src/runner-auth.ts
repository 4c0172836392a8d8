import { findShownKey, isFromThisMachine, LOCAL_PRINCIPAL, type Principal, UNAUTHORIZED } from '@berth/domain';
import type { ApiKeys } from '@berth/store';
import type { HttpBindings } from '@hono/node-server';
import type { MiddlewareHandler } from 'hono';

export interface RunnerAuthOptions {
  verifyKey: ApiKeys['verify'];
  /** Whoever reaches the port is the local user until the first key is made, and not only who asks from this machine. */
  openWithoutKeys: boolean;
}

export type RunnerEnv = { Bindings: HttpBindings; Variables: { principal: Principal } };

/** Finds out who asks, by the same keys as the API. Without a good one: 401, the same whatever was wrong with it. */
export const authenticate =
  ({ verifyKey, openWithoutKeys }: RunnerAuthOptions): MiddlewareHandler<RunnerEnv> =>
  async (c, next) => {
    const header = (name: string) => c.req.header(name);
    const shown = findShownKey(header);
    const verdict = await verifyKey(shown);
    const isLocal = openWithoutKeys || isFromThisMachine(c.env.incoming.socket.remoteAddress, header);
    if (verdict.kind === 'valid') c.set('principal', verdict.principal);
    else if (verdict.kind === 'no_keys' && shown === undefined && isLocal) c.set('principal', LOCAL_PRINCIPAL);
    else return c.json({ detail: UNAUTHORIZED }, 401, { 'www-authenticate': 'Bearer realm="berth"' });
    return next();
  };
