/** How other programs name their broker: `REDIS_HOST`, `REDIS_PORT`, `REDIS_DB`, `REDIS_PASSWORD`. */
type Environment = Record<string, string | undefined>;

/** `REDIS_URL` where there is one, else what the four say where one of the first two is set. Undefined: the environment names no broker. */
export const toRedisUrl = (env: Environment): string | undefined => {
  if (env.REDIS_URL) return env.REDIS_URL;
  if (!env.REDIS_HOST && !env.REDIS_PORT) return undefined;
  const host = env.REDIS_HOST || '127.0.0.1';
  const password = env.REDIS_PASSWORD ? `:${encodeURIComponent(env.REDIS_PASSWORD)}@` : '';
  const name = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
  return `redis://${password}${name}:${env.REDIS_PORT || 6379}/${env.REDIS_DB || 0}`;
};
