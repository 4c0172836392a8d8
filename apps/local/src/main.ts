import { createBerth } from './berth.js';
import { loadConfig } from './config.js';
import { LocalError } from './local-error.js';

const say = (line: string) => console.log(line);
// A terminal that was closed takes no more output; stopping must go on without it.
process.stdout.on('error', () => {});
process.stderr.on('error', () => {});

const explain = (error: unknown) =>
  console.error(error instanceof LocalError ? `\nBerth cannot start. ${error.message}` : error);

try {
  const berth = createBerth(loadConfig(), say);
  let asked = 0;
  const stop = async () => {
    asked += 1;
    if (asked > 1) {
      berth.kill();
      process.exit(130);
    }
    say('\nStopping … (Ctrl-C again stops at once)');
    await berth.stop();
    say('Stopped.');
    process.exit(0);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void stop());
  await berth.start().catch(async (error: unknown) => {
    if (asked > 0) return;
    explain(error);
    asked += 1;
    await berth.stop();
    process.exit(1);
  });
} catch (error) {
  explain(error);
  process.exitCode = 1;
}
