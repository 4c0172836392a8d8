import type { Redis } from 'ioredis';

export interface Channels {
  /** Returns, once the broker has taken the subscription, what ends it. */
  subscribe(channel: string, listener: (message: string) => void): Promise<() => void>;
  close(): Promise<void>;
}

/**
 * Notices that carry no truth: a listener that misses one reads the same from the record later. One connection for all of
 * a process's subscriptions; ioredis subscribes again by itself after a break.
 */
export const openChannels = (redis: Redis): Channels => {
  const listeners = new Map<string, Set<(message: string) => void>>();
  redis.on('message', (channel: string, message: string) => {
    for (const listener of listeners.get(channel) ?? []) listener(message);
  });
  const leave = (channel: string, listener: (message: string) => void): void => {
    const set = listeners.get(channel);
    set?.delete(listener);
    if (set?.size !== 0) return;
    listeners.delete(channel);
    redis.unsubscribe(channel).catch(() => {});
  };
  return {
    async subscribe(channel, listener) {
      const set = listeners.get(channel) ?? new Set();
      listeners.set(channel, set.add(listener));
      try {
        await redis.subscribe(channel);
      } catch (error) {
        leave(channel, listener);
        throw error;
      }
      return () => leave(channel, listener);
    },
    async close() {
      redis.disconnect();
    },
  };
};
