import { StringDecoder } from 'node:string_decoder';

/** A line longer than this is none of the engine's. */
const MAX_LINE = 1024 * 1024;

/** Collects chunks and hands on each whole line as JSON. A line that is no JSON object is skipped. */
export const createJsonLines = (take: (line: Record<string, unknown>) => void): ((chunk: Buffer) => void) => {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  return (chunk) => {
    const lines = (rest + decoder.write(chunk)).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > MAX_LINE) rest = '';
    for (const line of lines) {
      const value = parseObject(line);
      if (value !== undefined) take(value);
    }
  };
};

const parseObject = (line: string): Record<string, unknown> | undefined => {
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
};

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
