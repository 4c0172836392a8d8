// `npm start`: packages, build, then everything that one machine needs, in this process (apps/local).
import { prepare } from './prepare.mjs';

const problem = prepare();
if (problem) {
  console.error(problem);
  process.exit(1);
}
await import('../apps/local/dist/main.js');
