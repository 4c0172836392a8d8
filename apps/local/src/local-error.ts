/** Something about this machine that its owner has to change. The message says what, and what to type. */
export class LocalError extends Error {
  override readonly name = 'LocalError';
}

export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
