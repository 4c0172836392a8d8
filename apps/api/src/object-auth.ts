import { AppError } from '@berth/domain';
import { isSignedRequest, OBJECTS_PATH, SIGNATURE_HEADER, TIME_HEADER } from '@berth/store';
import type { HttpBindings } from '@hono/node-server';
import type { Context } from 'hono';

/** Whether it is what workers ask for with a signature, and nobody else for anything. */
export const isForObjects = ({ req: { path } }: Context): boolean =>
  path === OBJECTS_PATH || path.startsWith(`${OBJECTS_PATH}/`);

/** Lets a request for objects pass. Throws AppError `unauthorized` where it is not signed with the installation's secret. */
export type CheckSignature = (c: Context) => Promise<void>;

/** Reads the secret again where a signature is wrong: the broker may have been emptied. Throws where the broker does not answer. */
export const createSignatureCheck = (readSecret: () => Promise<string>): CheckSignature => {
  let secret: string | undefined;
  return async (c) => {
    const { incoming } = c.env as HttpBindings;
    const asked = {
      method: c.req.method,
      target: incoming.url ?? '',
      time: c.req.header(TIME_HEADER),
      signature: c.req.header(SIGNATURE_HEADER),
    };
    if (secret !== undefined && isSignedRequest(secret, asked)) return;
    secret = await readSecret();
    if (!isSignedRequest(secret, asked)) {
      throw new AppError(
        'unauthorized',
        'Only workers of this installation may ask for objects. Check REDIS_URL, BERTH_PREFIX and the clock of the worker (±5 minutes).',
      );
    }
  };
};
