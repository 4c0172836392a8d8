import { pino } from 'pino';
import { readReaperConfig } from './reaper/config.js';
import { createFences } from './reaper/fences.js';
import { createReaper, keepReaping } from './reaper/reaper.js';
import { openEngine } from './runtime/docker/engine-calls.js';

const { runDir, logLevel, dockerHost } = readReaperConfig();
const log = pino({ level: logLevel, base: { service: 'reaper' } });
const stop = new AbortController();

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    stop.abort();
    process.exit(0);
  });
}

const fences = runDir === undefined ? undefined : createFences(runDir);
log.info({ run_dir: runDir, deadlines_only: fences === undefined }, 'reaper ready');
await keepReaping(createReaper({ docker: openEngine(dockerHost), fences, log }), log, stop.signal);
