const levels: Record<number, string> = { 40: 'warn', 50: 'error', 60: 'fatal' };
const least_level = 40;

/**
 * What the terminal shows of a line that a child wrote: warnings and worse of pino's JSON, short, and every line that is
 * not JSON (a crash prints those). undefined for the rest, which the log file keeps.
 */
export const toTerminalLine = (name: string, line: string): string | undefined => {
  if (line.trim() === '') return undefined;
  const entry = parseEntry(line);
  if (!entry) return `${toPrefix(name)} ${line}`;
  if (entry.level < least_level) return undefined;
  const detail = entry.err?.message && entry.err.message !== entry.msg ? ` (${entry.err.message})` : '';
  const job = entry.job_id ? ` [${entry.job_id}]` : '';
  return `${toPrefix(name)} ${levels[entry.level] ?? entry.level}: ${entry.msg ?? ''}${detail}${job}`;
};

export const toPrefix = (name: string): string => `${name.padEnd(6)} │`;

interface Entry {
  level: number;
  msg?: string;
  job_id?: string;
  err?: { message?: string };
}

const parseEntry = (line: string): Entry | undefined => {
  if (!line.startsWith('{')) return undefined;
  try {
    const value = JSON.parse(line) as Partial<Entry>;
    return typeof value.level === 'number' ? (value as Entry) : undefined;
  } catch {
    return undefined;
  }
};
