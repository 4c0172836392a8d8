import { matchesPart, type Name, type Part, type Steps, toName, toPart } from './match-part.js';

export interface OutputPatterns {
  /** Cheapest for paths in the order of a walk. Throws PatternsTooCostly once all calls together have taken too much; then so does each. */
  matches(path: string): boolean;
  /** What has to be looked through, below /workspace: no one of them lies in another. `''` is all of it. */
  places: string[];
}

/** All that matching may take of one thread: a few seconds. */
const MOST_STEPS = 200_000_000;

/** It takes too long to match names with these patterns. */
export class PatternsTooCostly extends Error {
  constructor() {
    super('matching names with these patterns takes too long');
    this.name = 'PatternsTooCostly';
  }
}

const WILD = /[*?[]/;

/** `dir/` is everything below it, and `**` twice in a row is once. */
const toTexts = (pattern: string): string[] =>
  (pattern.endsWith('/') ? `${pattern}**` : pattern)
    .split('/')
    .filter((text, i, all) => text !== '**' || all[i - 1] !== '**');

const toPlace = (parts: string[]): string => {
  const wild = parts.findIndex((part) => WILD.test(part));
  return (wild === -1 ? parts : parts.slice(0, wild)).join('/');
};

const isBelow = (path: string, other: string): boolean =>
  other === '' || path === other || path.startsWith(`${other}/`);

/** What may come next, by its place in the parts of all patterns one behind the other. Each once. */
type States = readonly number[];
const ANY_DEPTH = -1;
const END = -2;

/** Each part of each pattern, one behind the other: what is alike is one, as its number. */
const toProgram = (patterns: string[][]) => {
  const numbers = new Map<string, number>();
  const distinct: Part[] = [];
  const codes: number[] = [];
  const begins: number[] = [];
  const toNumber = (text: string): number => {
    const number = numbers.get(text) ?? distinct.push(toPart(text)) - 1;
    numbers.set(text, number);
    return number;
  };
  for (const texts of patterns) {
    begins.push(codes.length);
    codes.push(...texts.map((text) => (text === '**' ? ANY_DEPTH : toNumber(text))), END);
  }
  return { codes, begins, distinct };
};

/**
 * Folder by folder, and for each which parts of which patterns may come next: so a folder's name is matched once for all that is in it, not for
 * patterns that begin otherwise, and once for parts that are alike.
 */
const createWalk = (patterns: string[][], steps: Steps) => {
  const { codes, begins, distinct } = toProgram(patterns);
  /** In which round a state was reached, and a part last answered. */
  const reached = new Uint32Array(codes.length);
  const answered = new Uint32Array(distinct.length);
  const answers = new Uint8Array(distinct.length);
  let round = 0;

  const isAt = (number: number, name: Name): boolean => {
    if (answered[number] !== round) {
      answered[number] = round;
      const part = distinct[number];
      answers[number] = part !== undefined && matchesPart(part, name, steps) ? 1 : 0;
    }
    return answers[number] === 1;
  };
  /** A part of any depth may be none. */
  const reach = (to: number[], state: number): void => {
    if (reached[state] === round) return;
    reached[state] = round;
    to.push(state);
    if (codes[state] === ANY_DEPTH) reach(to, state + 1);
  };
  const begin = (): States => {
    round += 1;
    const start: number[] = [];
    for (const state of begins) reach(start, state);
    return start;
  };
  const enter = (at: States, text: string): States => {
    round += 1;
    const next: number[] = [];
    const name = toName(text);
    steps.count += 2 * at.length + text.length;
    for (const state of at) {
      const code = codes[state] ?? END;
      if (code === ANY_DEPTH) reach(next, state);
      else if (code !== END && isAt(code, name)) reach(next, state + 1);
      if (steps.count > MOST_STEPS) throw new PatternsTooCostly();
    }
    return next;
  };
  return { start: begin(), enter, ends: (at: States) => at.some((state) => codes[state] === END) };
};

/**
 * What a job's `outputs` ask for. `*` and `?` stand for anything but a slash, `**` as a whole part for any number of folders, `[a-z]` for one of
 * these; a dot is like any other character. Home-made, because the patterns are anybody's and the names another's: what makes
 * regular expressions of them can be made to take for ever.
 */
export const createOutputPatterns = (patterns: readonly string[], steps: Steps = { count: 0 }): OutputPatterns => {
  const all = [...new Set(patterns)].map(toTexts);
  const walk = createWalk(all, steps);
  const places = [...new Set(all.map(toPlace))].sort();
  /** The folders that the last path stood in, one in the other. */
  let folders: { name: string; at: States }[] = [];
  return {
    matches: (path) => {
      const names = path.split('/');
      const last = names.pop() ?? '';
      const apart = names.findIndex((name, depth) => folders[depth]?.name !== name);
      folders = folders.slice(0, apart === -1 ? names.length : apart);
      for (const name of names.slice(folders.length)) {
        folders.push({ name, at: walk.enter(folders.at(-1)?.at ?? walk.start, name) });
      }
      return walk.ends(walk.enter(folders.at(-1)?.at ?? walk.start, last));
    },
    places: places.filter((place) => !places.some((other) => other !== place && isBelow(place, other))),
  };
};
