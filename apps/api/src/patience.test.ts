import { describe, expect, it } from 'vitest';
import { readPatiently } from './patience.js';

const away = () => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });

describe('readPatiently', () => {
  it('reads again until the broker is back', async () => {
    const answers = [away(), away(), 'here'];
    const read = async () => {
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      return answer;
    };
    expect(await readPatiently(read, new AbortController().signal)).toBe('here');
  });

  it('gives up when the signal aborts, and at once on any other error', async () => {
    const stop = new AbortController();
    const reading = readPatiently(() => Promise.reject(away()), stop.signal);
    stop.abort();
    await expect(reading).rejects.toThrow(/ECONNREFUSED/);
    const never = new AbortController().signal;
    await expect(readPatiently(() => Promise.reject(new Error('bug')), never)).rejects.toThrow('bug');
  });
});
