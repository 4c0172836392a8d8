// `npm run soak`: packages, build, then a world whose parts are killed while it works (e2e/soak). `npm run soak -- --help` says more.
import { join } from 'node:path';
import { prepare, root, run } from './prepare.mjs';

const problem = prepare();
if (problem) {
  console.error(problem);
  process.exit(2);
}
process.exit(run([process.execPath, join(root, 'e2e/run.mjs'), 'soak/main.ts', ...process.argv.slice(2)]));
