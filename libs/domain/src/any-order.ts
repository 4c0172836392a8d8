import { type Asker, type Filling, listAskers, type Started, takeOne } from './fill.js';
import type { MachineView } from './judge.js';

/** How often a machine may be asked for all that is to be found out. It is shared by all questions, and counts down. */
export interface Budget {
  picks: number;
}

/** By engine, what has started there. */
type Placed = ReadonlyMap<string, readonly string[]>;

interface State {
  now: Filling;
  placed: Placed;
}

/** Machines of one kind get the same jobs. GPUs have names, so a machine that has any is of a kind of its own. */
const toKind = ({ node, engine, gpus, ...rest }: MachineView): string =>
  gpus.length > 0 ? engine : JSON.stringify(rest);

/** By engine, the number of its machine's kind. */
const toKinds = ({ scene }: Filling): ReadonlyMap<string, number> => {
  const texts = scene.machines.map(toKind);
  return new Map(scene.machines.map(({ engine }, i) => [engine, texts.indexOf(texts[i] ?? '')]));
};

/** What a machine is and has got: of those that are alike it is enough to ask one. */
const toLikeness = (kind: number, jobs: readonly string[] = []): string => JSON.stringify([kind, ...[...jobs].sort()]);

const place = (placed: Placed, { job_id, engine, gpu_uuids }: Started): Placed =>
  new Map(placed).set(engine, [...(placed.get(engine) ?? []), `${job_id}@${gpu_uuids.join(',')}`]);

/**
 * Whether a job starts in whatever order the machines ask until nothing more can run: every order is tried, where two that have come to the same
 * are one, and so are machines that are alike. Undefined: there are more than the budget has room for.
 */
export const startsInAnyOrder = (from: Filling, job_id: string, budget: Budget): boolean | undefined => {
  const askers = listAskers(from.scene);
  const kinds = toKinds(from);
  const toName = (engine: string, placed: Placed) => toLikeness(kinds.get(engine) ?? -1, placed.get(engine));
  const toKey = (placed: Placed): string =>
    [...placed.keys()]
      .map((engine) => toName(engine, placed))
      .sort()
      .join('\n');
  const listUnlike = (placed: Placed): Asker[] => [
    ...new Map(askers.map((asker) => [`${asker.class} ${toName(asker.engine, placed)}`, asker])).values(),
  ];
  const seen = new Set<string>();
  const open: State[] = [{ now: from, placed: new Map() }];
  for (let state = open.pop(); state; state = open.pop()) {
    const { now, placed } = state;
    const asked = listUnlike(placed);
    budget.picks -= asked.length;
    if (budget.picks < 0) return undefined;
    const starts = asked.flatMap((asker) => takeOne(now, asker) ?? []);
    if (starts.length === 0) return false;
    for (const { started, ...then } of starts) {
      const after = place(placed, started);
      const key = toKey(after);
      if (started.job_id === job_id || seen.has(key)) continue;
      seen.add(key);
      open.push({ now: then, placed: after });
    }
  }
  return true;
};
