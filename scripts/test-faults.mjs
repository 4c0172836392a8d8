// `npm run test:faults`: every fault scenario, also the slow ones that `npm test` leaves out. Arguments go to vitest.
import { binOf, prepare, run } from './prepare.mjs';

const problem = prepare();
if (problem) {
  console.error(problem);
  process.exit(1);
}
const env = { ...process.env, BERTH_FAULTS: 'all' };
process.exit(run([...binOf('vitest'), 'run', '--project', 'faults', ...process.argv.slice(2)], { env }));
