/** UTC with six digits of a second and no zone: `2026-11-22T12:25:33.402000`. */
export const toNaiveTime = (ms: number): string => new Date(ms).toISOString().replace(/Z$/, '000');

/** The same, marked as UTC: `2026-11-22T12:25:33.402000Z`. */
export const toZonedTime = (ms: number): string => `${toNaiveTime(ms)}Z`;
