/** An input of a job cannot be laid, and could not another time: the job's fault, or its user's. Worded for them. */
export class InputProblem extends Error {
  constructor(path: string, what: string, options: { cause?: unknown } = {}) {
    super(`input ${path}: ${what}`, options);
    this.name = 'InputProblem';
  }
}

/** A name as it is shown to people: what would not show, or would show as something else, as its code. */
export const toShown = (name: string): string => {
  const shown = name.replace(
    /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu,
    (one) => `\\u{${(one.codePointAt(0) ?? 0).toString(16)}}`,
  );
  return shown.length > 200 ? `${shown.slice(0, 200)}…` : shown;
};
