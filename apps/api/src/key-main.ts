import { createStore, openRedis } from '@berth/store';
import { type KeyConfig, readKeyConfig } from './keys/config.js';
import { type KeyReply, runKeyCommand } from './keys/run-command.js';

const run = async ({ command, redisUrl, prefix }: KeyConfig): Promise<KeyReply> => {
  if (command.kind === 'help') return runKeyCommand({} as never, command, 0);
  const redis = openRedis(redisUrl, 'request');
  redis.on('error', () => undefined);
  try {
    await new Promise<void>((resolve, reject) => {
      redis.once('ready', resolve);
      redis.once('close', () => reject(new Error('No broker answers. Set REDIS_URL to the one that the API uses.')));
    });
    const { apiKeys, keys } = createStore(redis, prefix);
    const isNew = (await redis.exists(keys.installation)) === 0;
    const reply = await runKeyCommand(apiKeys, command, Date.now());
    const notes = isNew
      ? [`No Berth has run under the prefix ${prefix} of this broker yet: are REDIS_URL and BERTH_PREFIX its own?`]
      : [];
    return { ...reply, notes: [...reply.notes, ...notes] };
  } finally {
    redis.disconnect();
  }
};

try {
  const { code, lines, notes } = await run(readKeyConfig());
  for (const note of notes) process.stderr.write(`${note}\n`);
  for (const line of lines) process.stdout.write(`${line}\n`);
  process.exitCode = code;
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 2;
}
