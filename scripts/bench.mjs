// `npm run bench`: packages, build, then every benchmark beside its baseline (bench/). `npm run bench -- --help` says more.
import { join } from 'node:path';
import { binOf, prepare, root, run } from './prepare.mjs';

const problem = prepare();
if (problem) {
  console.error(problem);
  process.exit(1);
}
if (run([...binOf('typescript', 'tsc'), '-b', 'bench']) !== 0) process.exit(1);
process.exit(run([process.execPath, join(root, 'bench/dist/main.js'), ...process.argv.slice(2)]));
