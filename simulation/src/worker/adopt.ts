import { type Steps, spawn, wait } from '../process.js';
import { adopt, orphans } from '../record/claims.js';
import type { SimJob } from '../world.js';
import { runAttempt } from './attempt.js';
import { ask, call, type Hold, type Worker } from './hold.js';

/** What is held from now on; whatever of the same job was held before is over. */
export const hold = (worker: Worker, job: SimJob, of: { epoch: number; attempt: number; sent_at: number }): Hold => {
  const made: Hold = {
    claim: { id: job.id, epoch: of.epoch, owner: worker.process.name },
    job,
    attempt: of.attempt,
    request: undefined,
    // A claim whose answer came too late for the goodbye is left to others of the machine.
    leave: worker.accepting ? undefined : 'let_go',
    container_id: undefined,
    fenced: false,
    ended: false,
    output: { sent: 0, piece: 0 },
    changed: new Set(),
  };
  if (worker.holds.size === 0) worker.renewed_at = of.sent_at;
  const before = worker.holds.get(job.id);
  if (before) ask(before, 'over');
  worker.holds.set(job.id, made);
  return made;
};

/** Takes over the running jobs of workers of this engine that are gone or have let them go. */
export function* adoptPass(worker: Worker): Steps<void> {
  worker.adopt_again = true;
  if (worker.adopting) return;
  worker.adopting = true;
  const { record, jobs, agenda } = worker.world;
  const by = { worker: worker.process.name, engine: worker.machine.name };
  const mayAdopt = (id: string): boolean =>
    worker.accepting && (!worker.holds.has(id) || worker.world.mutation === 'adopts_what_it_holds');
  while (worker.adopt_again && worker.accepting) {
    worker.adopt_again = false;
    for (const id of yield* wait(call(worker, (now) => orphans(record, now, by.engine)))) {
      // Our own lapse after an outage, or a job that went to a neighbour and back: what we did of it before must be done with first.
      if (!mayAdopt(id)) continue;
      const sent_at = agenda.now;
      const adoption = yield* wait(call(worker, (now) => adopt(record, now, { ...by, id })));
      const job = jobs.get(id);
      if (!job || typeof adoption === 'string' || 'gone' in adoption) continue;
      worker.world.note(() => `${by.worker} adopted ${id} e${adoption.epoch}`);
      const held = hold(worker, job, { ...adoption, sent_at });
      spawn(worker.process, runAttempt(worker, { hold: held, adoption }), true);
    }
  }
  worker.adopting = false;
}
