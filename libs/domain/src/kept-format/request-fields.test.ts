import { describe, expect, it } from 'vitest';
import { parseCommandRequest, toCommandSpec } from './command-request.js';
import { toFailureReason, withLine } from './failure-reason.js';
import { checkInteger, findJsonError, parseFields } from './request-fields.js';

describe('checkInteger', () => {
  it.each([
    [7, 7],
    ['7', 7],
    [' +7 ', 7],
    ['7.0', 7],
    [7.0, 7],
    [true, 1],
  ])('takes %j as those services did', (input, value) => {
    expect(checkInteger(input, ['query', 'n'], {})).toEqual({ value });
  });

  it.each([
    ['seven', 'int_parsing'],
    ['7.5', 'int_parsing'],
    ['', 'int_parsing'],
    [7.5, 'int_from_float'],
    [Number.POSITIVE_INFINITY, 'int_from_float'],
    [null, 'int_type'],
    [[7], 'int_type'],
    [{}, 'int_type'],
  ])('refuses %j', (input, type) => {
    const [detail] = checkInteger(input, ['query', 'n'], {}).details ?? [];
    expect(detail).toMatchObject({ type, loc: ['query', 'n'], input });
  });
});

describe('parseFields', () => {
  it('notes everything that is wrong at once, in the order of the fields', () => {
    const { details } = parseFields({ a: 1, c: ['x', 2, null] }, (fields) => ({
      a: fields.text('a'),
      b: fields.texts('b'),
      c: fields.texts('c'),
      d: fields.optionalInteger('d', {}),
    }));
    expect(details?.map(({ type, loc }) => [type, ...loc])).toEqual([
      ['string_type', 'body', 'a'],
      ['missing', 'body', 'b'],
      ['string_type', 'body', 'c', 1],
      ['string_type', 'body', 'c', 2],
    ]);
  });

  it('takes null for what is optional, and nothing that is merely inherited', () => {
    const read = parseFields({ a: null }, (fields) => [
      fields.optionalText('a'),
      fields.optionalTexts('a'),
      fields.optionalInteger('a', {}),
      fields.optionalText('toString'),
    ]);
    expect(read).toEqual({ value: [null, null, null, null] });
  });
});

describe('parseCommandRequest', () => {
  it('fills in the timeout and ignores what it does not know', () => {
    expect(parseCommandRequest({ command: 'true', image: 'x' })).toEqual({ value: { command: 'true', timeout: 30 } });
  });

  it('becomes a small job with a way out and no grace worth speaking of', () => {
    expect(toCommandSpec({ command: 'true', timeout: 5 })).toEqual({
      command: 'true',
      timeout_seconds: 5,
      cpus: 0.5,
      memory_mb: 256,
      network: 'egress',
      stop_grace_seconds: 1,
    });
  });
});

describe('the end of a job in words', () => {
  it('stands on a line of its own', () => {
    expect(withLine('', 'x')).toBe('x');
    expect(withLine('a\n', 'x')).toBe('a\nx');
    expect(withLine('a', 'x')).toBe('a\nx');
    expect(toFailureReason('start_failed', 'no such file')).toBe('Job could not be started: no such file');
    expect(toFailureReason('exit_code', null)).toBe('Job failed');
  });
});

describe('findJsonError', () => {
  it('reads the position where the parser names one', () => {
    expect(findJsonError(new SyntaxError('Bad thing in JSON at position 12 (line 1 column 13)'))).toBe(12);
    expect(findJsonError(new SyntaxError('Unexpected end of JSON input'))).toBe(0);
    expect(findJsonError('no error')).toBe(0);
  });
});
