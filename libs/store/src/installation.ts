import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { Keys } from './keys.js';

/**
 * The name that marks this installation's containers: made once, by whoever asks first. A prefix alone will not do, because two
 * brokers may use the same one beside the same engine, and each would take the other's containers for leftovers.
 */
export const readInstallation = async (redis: Redis, keys: Keys): Promise<string> => {
  await redis.set(keys.installation, `${keys.prefix}-${randomBytes(6).toString('hex')}`, 'NX');
  const name = await redis.get(keys.installation);
  if (name === null) throw new Error('the broker forgot the name of the installation');
  return name;
};
