// `npm run key`: packages, build, then the keeper of API keys (apps/api). `npm run key -- --help` says more.
import { join } from 'node:path';
import { prepare, root, run } from './prepare.mjs';

const problem = prepare();
if (problem) {
  console.error(problem);
  process.exit(2);
}
process.exit(run([process.execPath, join(root, 'apps/api/dist/key-main.js'), ...process.argv.slice(2)]));
