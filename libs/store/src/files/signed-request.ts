import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Keys } from '../keys.js';

/** Where the API gives and takes objects. No user has any business there. */
export const OBJECTS_PATH = '/internal/objects';

export const TIME_HEADER = 'x-berth-time';
export const SIGNATURE_HEADER = 'x-berth-signature';

const SECRET_BYTES = 32;
/**
 * Clocks of machines may differ by so much, and a request that was overheard is of no use after it. Until then it is: what is signed is the request,
 * not its body, which is a stream. Where others listen on the network, workers call the API by https.
 */
const GOOD_FOR_MS = 5 * 60_000;

/** What workers sign with: the same for all, made once by whoever asks first. Whoever reads Redis may do everything anyway. */
export const readFileSecret = async (redis: Redis, keys: Keys): Promise<string> => {
  const made = await redis.get(keys.fileSecret);
  if (made !== null) return made;
  await redis.set(keys.fileSecret, randomBytes(SECRET_BYTES).toString('base64url'), 'NX');
  const secret = await redis.get(keys.fileSecret);
  if (secret === null) throw new Error('the broker forgot what requests for objects are signed with');
  return secret;
};

const toSignature = (secret: string, { method, target, time }: { method: string; target: string; time: string }) =>
  createHmac('sha256', secret).update(`${method}\n${target}\n${time}`).digest();

/** `target`: path and query, as they go over the wire. */
export const signRequest = (secret: string, method: string, target: string, now = Date.now()) => {
  const time = String(now);
  return { [TIME_HEADER]: time, [SIGNATURE_HEADER]: toSignature(secret, { method, target, time }).toString('hex') };
};

interface SignedRequest {
  method: string;
  /** Path and query, as they came. */
  target: string;
  time: string | undefined;
  signature: string | undefined;
}

/** Whether somebody who knows the secret has asked for exactly this, just now. */
export const isSignedRequest = (
  secret: string,
  { method, target, time = '', signature = '' }: SignedRequest,
  now = Date.now(),
): boolean => {
  const shown = Buffer.from(/^[0-9a-f]{64}$/.test(signature) ? signature : '0'.repeat(64), 'hex');
  const isGood = timingSafeEqual(shown, toSignature(secret, { method, target, time }));
  return isGood && /^\d{1,15}$/.test(time) && Math.abs(now - Number(time)) <= GOOD_FOR_MS;
};
