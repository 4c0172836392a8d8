import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createLogBook, defer } from '../test/fakes.js';
import { createEngineGate } from './engine-gate.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const open = () => {
  const engine = { answers: false, fit: true };
  const look = vi.fn(async () => {
    if (!engine.answers) throw new Error('away');
    return engine.fit;
  });
  const book = createLogBook();
  const gate = createEngineGate(look, book.log);
  const hasPassed = async () => {
    let passed = false;
    void gate.passed().then(() => {
      passed = true;
    });
    await vi.advanceTimersByTimeAsync(0);
    return passed;
  };
  return { gate, engine, look, book, hasPassed };
};

describe('the gate', () => {
  it('stands open where nothing has failed, and asks nothing', async () => {
    const { look, hasPassed } = open();
    expect(await hasPassed()).toBe(true);
    expect(look).not.toHaveBeenCalled();
  });

  it('shuts when the engine fails, and opens when it answers', async () => {
    const { gate, engine, look, book, hasPassed } = open();
    gate.failed();
    gate.failed();
    const passed = gate.passed();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await hasPassed()).toBe(false);
    expect(look).toHaveBeenCalledTimes(4);
    engine.answers = true;
    await vi.advanceTimersByTimeAsync(1_000);
    await passed;
    expect(await hasPassed()).toBe(true);
    expect(look).toHaveBeenCalledTimes(5);
    expect([book.find('the engine is away'), book.find('the engine is back')]).toEqual([1, 1]);
  });

  it('stays shut for a while where the engine answers at once, and tells who wants to know when it opens', async () => {
    const { gate, engine, hasPassed } = open();
    let back = 0;
    gate.onBack = () => {
      back += 1;
    };
    engine.answers = true;
    gate.failed();
    await vi.advanceTimersByTimeAsync(1_999);
    expect([await hasPassed(), back]).toEqual([false, 0]);
    await vi.advanceTimersByTimeAsync(1);
    expect([await hasPassed(), back]).toEqual([true, 1]);
  });

  it('shuts again when the engine fails again', async () => {
    const { gate, engine, hasPassed } = open();
    gate.failed();
    engine.answers = true;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await hasPassed()).toBe(false);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await hasPassed()).toBe(true);
    engine.answers = false;
    gate.failed();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await hasPassed()).toBe(false);
    gate.close();
    await vi.advanceTimersByTimeAsync(1_000);
  });

  it('stays shut while the engine answers and starts nothing', async () => {
    const { gate, engine, hasPassed } = open();
    Object.assign(engine, { answers: true, fit: false });
    gate.failed();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await hasPassed()).toBe(false);
    engine.fit = true;
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await hasPassed()).toBe(true);
  });

  it('lets everyone through at once when it is closed, also while the engine still owes an answer', async () => {
    const answer = defer<boolean>();
    const gate = createEngineGate(() => answer.promise, createLogBook().log);
    gate.failed();
    const passed = gate.passed().then(() => 'passed');
    gate.close();
    expect(await Promise.race([passed, vi.advanceTimersByTimeAsync(0).then(() => 'shut')])).toBe('passed');
    gate.failed();
    expect(await Promise.race([gate.passed().then(() => 'passed'), vi.advanceTimersByTimeAsync(0)])).toBe('passed');
  });
});
