export type Invariant = 'I1' | 'I2' | 'I3' | 'I4' | 'I5' | 'I6' | 'I7' | 'I8' | 'I9' | 'I10';

/** What became of one invariant. `unchecked`: what it needs was not given. */
export interface Finding {
  invariant: Invariant;
  state: 'ok' | 'violated' | 'unchecked';
  /** How much was looked at, or what is missing. */
  note: string;
  problems: string[];
}

export interface Report {
  ok: boolean;
  findings: Finding[];
  /** For people: one an invariant, and each violation below its own. */
  lines: string[];
}

const MEANINGS: Record<Invariant, string> = {
  I1: 'every job ends once',
  I2: 'every accepted job is there, and ends',
  I3: 'every running container belongs to a running job, and none outlives its deadline',
  I4: 'never two containers of a job at a time',
  I5: 'one side effect an epoch, and no epoch that is not recorded',
  I6: 'only ends of its own use up a job’s attempts',
  I7: 'what is reserved is what runs',
  I8: 'nothing is left behind',
  I9: 'a stored log is the true output, or says where it was cut',
  I10: 'no replica shows a state that is older than one shown before',
};

const MOST_SHOWN = 20;

export const toReport = (findings: Finding[]): Report => ({
  ok: findings.every(({ state }) => state !== 'violated'),
  findings,
  lines: findings.flatMap(toLines),
});

const toLines = ({ invariant, state, note, problems }: Finding): string[] => {
  const head = `${invariant} ${state === 'violated' ? 'VIOLATED' : state}: ${MEANINGS[invariant]} (${note})`;
  const more = problems.length - MOST_SHOWN;
  return [
    head,
    ...problems.slice(0, MOST_SHOWN).map((text) => `  ${text}`),
    ...(more > 0 ? [`  … and ${more} more`] : []),
  ];
};
