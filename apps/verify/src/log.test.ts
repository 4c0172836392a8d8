import type { LogEntry } from '@berth/store';
import { describe, expect, test } from 'vitest';
import { checkLog } from './log.js';

const expected = Buffer.from('one two three four');
const piece = (text: string, stream: LogEntry['stream'] = 'stdout', anew?: true): LogEntry => ({
  ...{ id: '1-1', attempt: 1, at: null, stream, bytes: Buffer.from(text) },
  ...(anew ? { anew } : {}),
});
const check = (entries: LogEntry[], whole = true) => checkLog({ job_id: 'j', entries, expected, whole });

describe('I9', () => {
  test('holds for all of it, whatever stderr says', () => {
    expect(check([piece('one '), piece('oh', 'stderr'), piece('two three four')])).toEqual([]);
  });

  test('holds for a beginning where the container was ended, or where a note says what is missing', () => {
    expect(check([piece('one tw')], false)).toEqual([]);
    expect(check([piece('one '), piece('cut', 'note')])).toEqual([]);
    expect(check([piece('one '), piece('a gap', 'note'), piece('three four')])).toEqual([]);
  });

  test('holds for what comes after the note that it begins anew', () => {
    expect(check([piece('one two th'), piece('again', 'note', true), piece('one two three four')])).toEqual([]);
  });

  test.each([
    ['bytes that are missing at the end', [piece('one two')], /has stored 7 of 18 bytes/],
    ['bytes that are missing in between', [piece('one '), piece('three four')], /byte 5 of stretch 1/],
    ['bytes that were stored twice', [piece('one '), piece('one two three four')], /byte 4 of stretch 1/],
    [
      'bytes after a gap that come from before it',
      [piece('one two '), piece('a gap', 'note'), piece('two three four')],
      /stretch 2/,
    ],
    ['bytes that were never written', [piece('one two three four five')], /byte 18 of stretch 1/],
  ])('sees %s', (_, entries, problem) => {
    expect(check(entries).join()).toMatch(problem);
  });
});
