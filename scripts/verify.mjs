// `npm run verify`: packages, build, then the check of a running system (apps/verify). `npm run verify -- --help` says more.
import { join } from 'node:path';
import { prepare, root, run } from './prepare.mjs';

const problem = prepare();
if (problem) {
  console.error(problem);
  process.exit(2);
}
process.exit(run([process.execPath, join(root, 'apps/verify/dist/main.js'), ...process.argv.slice(2)]));
