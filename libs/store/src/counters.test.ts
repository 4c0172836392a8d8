import { describe, expect, it } from 'vitest';
import { BUCKET_BOUNDS_MS, toJobTotals } from './counters.js';

describe('toJobTotals', () => {
  it('sorts the fields of the counters by what they count', () => {
    const totals = toJobTotals({
      'submitted|small': '3',
      'finished|small|completed|': '2',
      'finished|small|failed|exit_code': '1',
      'runtime|small|100': '1',
      'runtime|small|14400000': '4',
      'runtime|small|sum': '12345',
      'runtime|small|count': '6',
      'queue|large|sum': '7',
    });
    expect(totals.submitted).toEqual([{ class: 'small', count: 3 }]);
    expect(totals.finished).toEqual([
      { class: 'small', state: 'completed', cause: '', count: 2 },
      { class: 'small', state: 'failed', cause: 'exit_code', count: 1 },
    ]);
    const runtime = totals.runtime.get('small');
    expect(runtime).toMatchObject({ sum_ms: 12_345, count: 6 });
    expect(runtime?.buckets).toEqual(
      BUCKET_BOUNDS_MS.map((bound) => (bound === 100 ? 1 : bound === 14_400_000 ? 4 : 0)),
    );
    expect(totals.queue.get('large')).toMatchObject({ sum_ms: 7, count: 0 });
  });

  it('is empty where nothing was counted', () => {
    expect(toJobTotals({})).toEqual({ submitted: [], finished: [], runtime: new Map(), queue: new Map() });
  });
});
