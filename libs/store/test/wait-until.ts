import { setTimeout as pause } from 'node:timers/promises';

/** Looks again and again until the condition holds; throws after `limit_ms` with what was waited for. */
export const waitUntil = async (
  what: string,
  holds: () => boolean | Promise<boolean>,
  limit_ms = 30_000,
): Promise<void> => {
  const end = performance.now() + limit_ms;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`waited ${limit_ms} ms in vain until ${what}`);
    await pause(5);
  }
};
