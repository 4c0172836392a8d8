import { describe, expect, it } from 'vitest';
import { toTerminalLine } from './child-log.js';

const line = (entry: object) => toTerminalLine('api', JSON.stringify(entry));

describe('toTerminalLine', () => {
  it('keeps quiet below a warning', () => {
    expect(line({ level: 30, msg: 'listening' })).toBeUndefined();
    expect(toTerminalLine('api', '')).toBeUndefined();
  });

  it('shortens warnings and errors, with their reason and job', () => {
    expect(line({ level: 40, msg: 'slow' })).toBe('api    │ warn: slow');
    expect(line({ level: 50, msg: 'lost', err: { message: 'closed' }, job_id: 'j-1' })).toBe(
      'api    │ error: lost (closed) [j-1]',
    );
  });

  it('shows what is not JSON: a crash', () => {
    expect(toTerminalLine('worker', 'Error: boom')).toBe('worker │ Error: boom');
    expect(toTerminalLine('worker', '{ broken')).toBe('worker │ { broken');
  });
});
