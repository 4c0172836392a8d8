import { AppError } from '@berth/domain';
import { describe, expect, it } from 'vitest';
import { NewerHistoryError, toHistoryError } from './errors.js';

const withCode = (code: string): Error => Object.assign(new Error('x'), { code });

describe('toHistoryError', () => {
  it.each<[string, Error, RegExp]>([
    ['a refused connection', withCode('ECONNREFUSED'), /does not answer/],
    ['a broken pipe', withCode('EPIPE'), /does not answer/],
    ['several addresses that refuse', new AggregateError([withCode('ECONNREFUSED')]), /does not answer/],
    ['a cut connection', new Error('Connection terminated unexpectedly'), /does not answer/],
    ['a connection that was cut before', new Error('Client has encountered a connection error'), /does not answer/],
    ['silence', new Error('Query read timeout'), /does not answer/],
    ['a server that is shut down', withCode('57P01'), /does not answer/],
    ['a full disk', withCode('53100'), /does not answer/],
    ['a database that is not there', withCode('3D000'), /does not answer/],
    ['a deadlock', withCode('40P01'), /does not answer/],
    ['a statement that took too long', withCode('57014'), /Ask for less/],
    ['a later version', new NewerHistoryError('x'), /until this API is upgraded/],
  ])('%s is unavailable, in its own words', (_name, error, words) => {
    const told = toHistoryError(error) as AppError;
    expect(told).toBeInstanceOf(AppError);
    expect([told.code, told.message, told.details.reasons]).toEqual([
      'unavailable',
      expect.stringMatching(words),
      ['archive'],
    ]);
  });

  it.each<[string, unknown]>([
    ['a value that it refuses', withCode('22021')],
    ['an error in our SQL', withCode('42601')],
    ['one of several that is a bug', new AggregateError([withCode('ECONNREFUSED'), new TypeError('x')])],
    ['a bug of ours', new TypeError('x is not a function')],
    ['what is no error', 'text'],
  ])('%s stays what it is', (_name, error) => {
    expect(toHistoryError(error)).toBe(error);
  });
});
