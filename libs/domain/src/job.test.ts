import { describe, expect, it } from 'vitest';
import { applyEvent, EDGES, EVENT_MEANINGS, EVENT_TYPES, isTerminal, JOB_STATES, type JobState } from './job.js';

const TERMINAL: JobState[] = ['completed', 'failed', 'cancelled'];

describe('the life of a job', () => {
  it.each(TERMINAL)('%s absorbs every event', (state) => {
    expect(EVENT_TYPES.filter((event) => applyEvent(state, event) !== undefined)).toEqual([]);
    expect(isTerminal(state)).toBe(true);
  });

  it('has no terminal state that can be left, and no other that cannot', () => {
    expect(JOB_STATES.filter(isTerminal)).toEqual(TERMINAL);
    const leavable = JOB_STATES.filter((state) => EVENT_TYPES.some((event) => applyEvent(state, event) !== undefined));
    expect(leavable).toEqual(['pending', 'running']);
  });

  it('lets a pending job be claimed, refused, cancelled, held, unheld, made ready or given another priority, and nothing else', () => {
    const allowed = EVENT_TYPES.filter((event) => applyEvent('pending', event) !== undefined);
    expect(allowed).toEqual(['claimed', 'failed', 'cancelled', 'held', 'unheld', 'reprioritized', 'ready']);
    expect(applyEvent('pending', 'claimed')).toBe('running');
  });

  it.each(['held', 'unheld', 'reprioritized', 'ready'] as const)(
    'leaves a job pending when %s, and no other may be',
    (event) => {
      expect(JOB_STATES.filter((state) => applyEvent(state, event) !== undefined)).toEqual(['pending']);
      expect(applyEvent('pending', event)).toBe('pending');
    },
  );

  it.each(['retried', 'released', 'lost'] as const)('leads a running job back to pending when %s', (event) => {
    expect(applyEvent('running', event)).toBe('pending');
    expect(applyEvent('pending', event)).toBeUndefined();
  });

  it('never leads a running job to running by a second claim', () => {
    expect(applyEvent('running', 'claimed')).toBeUndefined();
  });

  it('lets every terminal state be reached from running by the event of its name', () => {
    for (const state of TERMINAL) expect(applyEvent('running', state as 'completed')).toBe(state);
  });

  it('knows an edge table and a meaning for each event', () => {
    expect(Object.keys(EDGES)).toEqual([...EVENT_TYPES]);
    expect(Object.keys(EVENT_MEANINGS)).toEqual([...EVENT_TYPES]);
    expect(new Set(Object.values(EVENT_MEANINGS)).size).toBe(EVENT_TYPES.length);
  });
});
