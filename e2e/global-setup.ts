import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureImage, loadConfig, openBroker, openDocker, openEngine, openPostgres } from '@berth/local';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  export interface ProvidedContext {
    redisUrl: string;
    dockerHost: string;
  }
}

const silent = () => {};
const undo: (() => Promise<void> | void)[] = [];

/**
 * A broker of the tests' own in a folder of its own, whatever REDIS_URL says: a running Berth is never touched. So is the PostgreSQL; the engine
 * is shared. Tests read `REDIS_URL`, `BERTH_TEST_DATABASE_URL`, `DOCKER_HOST` and `BERTH_PREFIX` from the environment, or `inject('redisUrl')`.
 *
 * Vitest calls this once per project, one after the other: the first call opens, the others find what it opened.
 */
export const setup = async (project: TestProject): Promise<void> => {
  if (!process.env.BERTH_TEST_REDIS_URL) await openMachine();
  project.provide('redisUrl', process.env.REDIS_URL ?? '');
  project.provide('dockerHost', process.env.DOCKER_HOST ?? '');
};

const openMachine = async (): Promise<void> => {
  const dataDir = mkdtempSync(join(tmpdir(), 'berth-test-'));
  undo.push(() => rmSync(dataDir, { recursive: true, force: true }));
  const config = { ...loadConfig(), dataDir, redisUrl: undefined, say: silent };
  try {
    const engine = await openEngine(config);
    undo.push(engine.close);
    const docker = openDocker(engine.host);
    await ensureImage(docker, config);
    const broker = await openBroker({ ...config, docker });
    undo.push(broker.close);
    // What is not on disk is lost in a crash of the machine, which no test needs. Each test has a schema of its own.
    const postgres = await openPostgres(['fsync=off', 'max_connections=300']);
    undo.push(postgres.close);
    process.env.BERTH_TEST_DATABASE_URL = postgres.url;
    process.env.REDIS_URL = broker.url;
    process.env.BERTH_TEST_REDIS_URL = broker.url;
    process.env.DOCKER_HOST = engine.host;
    process.env.BERTH_PREFIX = `test-${randomBytes(4).toString('hex')}`;
  } catch (error) {
    await teardown();
    throw error;
  }
};

export const teardown = async (): Promise<void> => {
  for (const step of undo.splice(0).reverse()) await step();
};
