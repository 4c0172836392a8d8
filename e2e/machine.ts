import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureImage, loadConfig, openDocker, openEngine } from '@berth/local';

/** What a world takes its image from, set up as for the tests: DOCKER_HOST says afterwards where it is. Returns how to take it down. */
export const openSharedEngine = async (): Promise<() => Promise<void>> => {
  const dataDir = mkdtempSync(join(tmpdir(), 'berth-world-'));
  const config = { ...loadConfig(), dataDir, say: () => undefined };
  const engine = await openEngine(config);
  const close = async () => {
    await engine.close();
    rmSync(dataDir, { recursive: true, force: true });
  };
  try {
    await ensureImage(openDocker(engine.host), config);
    process.env.DOCKER_HOST = engine.host;
    return close;
  } catch (error) {
    await close();
    throw error;
  }
};
