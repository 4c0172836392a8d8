// `npm run test:simulate`: the deterministic simulation, on as many seeds as asked for. See docs/reliability.md.
import { prepare, root, run } from './prepare.mjs';

const problem = prepare();
if (problem) console.error(problem);
process.exitCode = problem ? 1 : run([process.execPath, `${root}simulation/dist/main.js`, ...process.argv.slice(2)]);
