import type { Bench } from './bench.js';
import type { Section } from './figure.js';
import { HELD, measureLeases } from './lease-cost.js';
import { measureOtherMachine } from './other-machine.js';
import { measureRecovery, RUNNING } from './recovery.js';
import { JOBS, measureCommands } from './redis-commands.js';

/** Each waits out a lease. */
const OTHER_MACHINE_ROUNDS = 1;

/** What it costs to keep the promises, and how soon a job is in good hands again. */
export const benchTrust = async (bench: Bench): Promise<Section> => ({
  title: 'trust',
  setting:
    `recovery: ${RUNNING} containers that write ten lines a second, ${bench.rounds} rounds, the supervisor starts the worker after 0.5 s; ` +
    `another machine: two engines, ${OTHER_MACHINE_ROUNDS} round; commands: ${JOBS} jobs of \`true\`, POST to the answered long poll, less an idle ` +
    `system's, seen by MONITOR; leases: ${HELD} jobs that never end on the fake runtime, one worker, an API beside it`,
  figures: [
    ...(await measureRecovery(bench)),
    await measureOtherMachine(bench.dockerHost, OTHER_MACHINE_ROUNDS),
    ...(await measureCommands(bench)),
    ...(await measureLeases(bench)),
  ],
});
