// `npm run test:simulate`: packages, build, then the deterministic simulation (simulation/src/main.ts). See docs/reliability.md.
import { join } from 'node:path';
import { prepare, root, run } from './prepare.mjs';

const problem = prepare();
if (problem) {
  console.error(problem);
  process.exit(2);
}
process.exit(run([process.execPath, join(root, 'simulation/dist/main.js'), ...process.argv.slice(2)]));
