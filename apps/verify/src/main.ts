import { existsSync } from 'node:fs';
import { createKeys, openFiles, openRedis } from '@berth/store';
import Docker from 'dockerode';
import { HELP, readVerifyConfig, type VerifyConfig } from './config.js';
import { readAccepted, readEngineEvents, readExpectedLog, readLedger, readObserved } from './files.js';
import { verify } from './verify.js';

const openDocker = (host: string | undefined): Docker => {
  if (host === undefined) return new Docker();
  if (host.startsWith('unix://')) return new Docker({ socketPath: host.slice('unix://'.length) });
  const { hostname, port } = new URL(host.replace(/^tcp:/, 'http:'));
  return new Docker({ host: hostname, port: port || 2375 });
};

/** A name that leads nowhere would make everything look well. */
const requireFiles = ({ accepted, ledger, events, observed, logs }: VerifyConfig): void => {
  for (const path of [accepted, ledger, events, observed, logs]) {
    if (path !== undefined && !existsSync(path)) throw new Error(`there is no ${path}`);
  }
};

const run = async (config: VerifyConfig): Promise<number> => {
  const { logs } = config;
  requireFiles(config);
  const redis = openRedis(config.redisUrl, 'request');
  redis.on('error', () => undefined);
  try {
    await new Promise<void>((resolve, reject) => {
      redis.once('ready', resolve);
      redis.once('close', () => reject(new Error('no broker answers: set REDIS_URL')));
    });
    if ((await redis.exists(createKeys(config.prefix).installation)) === 0) {
      throw new Error(`there is no Berth under the prefix ${config.prefix}: set BERTH_PREFIX`);
    }
    const files = logs === undefined ? undefined : await openFiles(config.filesPlace, async () => '');
    const report = await verify({
      ...config,
      redis,
      files,
      engines: config.engines.map(openDocker),
      accepted: config.accepted === undefined ? undefined : readAccepted(config.accepted),
      ledger: config.ledger === undefined ? undefined : readLedger(config.ledger),
      events: config.events === undefined ? undefined : readEngineEvents(config.events),
      observed: config.observed === undefined ? undefined : readObserved(config.observed),
      expectedLog: logs === undefined ? undefined : (job) => readExpectedLog(logs, job.job_id),
    });
    process.stdout.write(`${report.lines.join('\n')}\n`);
    return report.ok ? 0 : 1;
  } finally {
    redis.disconnect();
  }
};

try {
  const config = readVerifyConfig();
  if (config === undefined) process.stdout.write(HELP);
  else process.exitCode = await run(config);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 2;
}
