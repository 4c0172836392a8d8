/** A character that may be one of several. */
type Allows = (character: string) => boolean;
/** What stands between two stars: characters one by one, in which `longest` stands as it is. */
interface Segment {
  tokens: readonly (string | Allows)[];
  longest: string;
  /** All of it stands as it is. */
  plain: boolean;
}

/** One part of a pattern between slashes: its segments stand in a name in this order, the first at its beginning and the last at its end. */
export interface Part {
  first: Segment;
  middle: readonly Segment[];
  /** None: there is no star, and the first is all. */
  last: Segment | undefined;
  /** Characters. */
  least: number;
}

/** Counts what matching takes: about one for a step of a few nanoseconds. */
export interface Steps {
  count: number;
}

/** `[a-z]`, `[!a-z]`; undefined where the bracket is not closed, and stands for itself. */
const readBracket = (pattern: string[], from: number): { allows: Allows; next: number } | undefined => {
  const negated = pattern[from + 1] === '!' || pattern[from + 1] === '^';
  const first = from + (negated ? 2 : 1);
  const end = pattern.indexOf(']', first + 1);
  if (end === -1) return undefined;
  const ranges: [string, string][] = [];
  for (let i = first; i < end; i += 1) {
    const low = pattern[i] ?? '';
    const is_range = pattern[i + 1] === '-' && i + 2 < end;
    ranges.push([low, is_range ? (pattern[i + 2] ?? '') : low]);
    if (is_range) i += 2;
  }
  return { allows: (c) => ranges.some(([low, high]) => low <= c && c <= high) !== negated, next: end + 1 };
};

const any: Allows = () => true;

const toSegment = (tokens: (string | Allows)[]): Segment => {
  const runs = tokens.map((token) => (typeof token === 'string' ? token : '\0')).join('');
  const longest = runs.split('\0').reduce((a, b) => (b.length > a.length ? b : a), '');
  return { tokens, longest, plain: tokens.every((token) => typeof token === 'string') };
};

export const toPart = (text: string): Part => {
  const characters = [...text];
  const segments: (string | Allows)[][] = [[]];
  for (let i = 0; i < characters.length; ) {
    const c = characters[i] ?? '';
    const bracket = c === '[' ? readBracket(characters, i) : undefined;
    if (c === '*') segments.push([]);
    else segments.at(-1)?.push(bracket?.allows ?? (c === '?' ? any : c));
    i = bracket?.next ?? i + 1;
  }
  const [first = [], ...others] = segments;
  const last = others.pop();
  return {
    first: toSegment(first),
    middle: others.filter(({ length }) => length > 0).map(toSegment),
    last: last && toSegment(last),
    least: segments.reduce((sum, { length }) => sum + length, 0),
  };
};

/** A name, and its characters: a `?` is one of these. */
export interface Name {
  text: string;
  characters: readonly string[];
}
export const toName = (text: string): Name => ({ text, characters: [...text] });

const standsAt = ({ tokens }: Segment, { characters }: Name, at: number, steps: Steps): boolean => {
  for (let i = 0; i < tokens.length; i += 1) {
    const [token, c] = [tokens[i], characters[at + i] ?? ''];
    if (typeof token === 'function' ? !token(c) : token !== c) {
      steps.count += i;
      return false;
    }
  }
  steps.count += tokens.length;
  return true;
};

/** Where it stands first, from a place on and ending before another; -1: nowhere. */
const findFirst = (segment: Segment, name: Name, from: number, end: number, steps: Steps): number => {
  const { tokens, longest, plain } = segment;
  steps.count += 1 + Math.max(0, end - from);
  if (plain && name.text.length === name.characters.length) {
    const at = name.text.indexOf(longest, from);
    return at + tokens.length <= end ? at : -1;
  }
  for (let at = from; at + tokens.length <= end; at += 1) if (standsAt(segment, name, at, steps)) return at;
  return -1;
};

const holdsInOrder = (
  segments: readonly Segment[],
  name: Name,
  { from, end }: { from: number; end: number },
  steps: Steps,
): boolean => {
  for (const { longest } of segments) {
    steps.count += 1 + name.text.length / 16;
    if (!name.text.includes(longest)) return false;
  }
  let at = from;
  for (const segment of segments) {
    const found = findFirst(segment, name, at, end, steps);
    if (found === -1) return false;
    at = found + segment.tokens.length;
  }
  return true;
};

/**
 * What costs little first: the length, the beginning, the end, and what has to stand in it anywhere. Then each segment is taken where it stands first, which
 * is enough. A segment without `?` and brackets is found in a time that hardly depends on its length; one with them may take the product of the two lengths.
 */
export const matchesPart = ({ first, middle, last, least }: Part, name: Name, steps: Steps): boolean => {
  const { characters, text } = name;
  steps.count += 1;
  if (last === undefined ? characters.length !== least : characters.length < least) return false;
  if (first.plain ? !text.startsWith(first.longest) : !standsAt(first, name, 0, steps)) return false;
  if (last === undefined) return true;
  const end = characters.length - last.tokens.length;
  if (last.plain ? !text.endsWith(last.longest) : !standsAt(last, name, end, steps)) return false;
  return holdsInOrder(middle, name, { from: first.tokens.length, end }, steps);
};
