/** JSON merge patch, as RFC 7396 has it. */
export const patch = (target: unknown, change: unknown): unknown => {
  if (typeof change !== 'object' || change === null || Array.isArray(change)) return change;
  const result = { ...(target as Record<string, unknown>) };
  for (const [name, value] of Object.entries(change)) {
    if (value === null) delete result[name];
    else result[name] = patch(result[name] ?? {}, value);
  }
  return result;
};
