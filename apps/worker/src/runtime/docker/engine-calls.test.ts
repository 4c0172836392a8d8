import { afterEach, describe, expect, test, vi } from 'vitest';
import { RuntimeFault } from '../container-runtime.js';
import { callWithin } from './engine-calls.js';
import { toCreateFault, toPullFault, toReadFault } from './faults.js';

const refuse = (statusCode: number) => Object.assign(new Error('(HTTP code 1) reason - text'), { statusCode });

afterEach(() => {
  vi.useRealTimers();
});

describe('callWithin', () => {
  test('gives up on a call that never settles, and tells it so', async () => {
    let told: AbortSignal | undefined;
    const call = callWithin(5, (abortSignal) => {
      told = abortSignal;
      return new Promise(() => undefined);
    });
    await expect(call).rejects.toMatchObject({ code: 'engine_unavailable', retryable: true });
    expect(told?.aborted).toBe(true);
  });

  test('leaves a call in peace that was answered', async () => {
    let told: AbortSignal | undefined;
    const call = async (abortSignal: AbortSignal) => {
      told = abortSignal;
      return 'answer';
    };
    vi.useFakeTimers();
    expect(await callWithin(5, call)).toBe('answer');
    vi.advanceTimersByTime(60_000);
    expect(told?.aborted).toBe(false);
  });
});

describe('faults', () => {
  test.each([
    [413, 'start_failed', false],
    [404, 'image_not_found', false],
    [409, 'name_taken', false],
    [500, 'engine_unavailable', true],
  ])('%i at create is %s', (status, code, retryable) => {
    expect(toCreateFault(refuse(status))).toMatchObject({ code, retryable });
  });

  test.each([
    [404, 'image_not_found', false],
    [500, 'image_pull_failed', true],
  ])('%i at a pull is %s', (status, code, retryable) => {
    expect(toPullFault(refuse(status))).toMatchObject({ code, retryable });
  });

  test('no reply at all is the engine, or the registry where one was asked', () => {
    const late = new RuntimeFault('engine_unavailable', 'late', { retryable: true });
    expect(toReadFault(new Error('socket hang up'))).toMatchObject({ code: 'engine_unavailable', retryable: true });
    expect(toPullFault(late)).toMatchObject({ code: 'image_pull_failed', retryable: true });
  });

  test('the text is for people and has no HTTP in it', () => {
    expect(toCreateFault(refuse(409)).message).toBe('The container could not be created: text');
  });
});
