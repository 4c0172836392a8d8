import { describe, expect, it } from 'vitest';
import { TAIL_BYTES } from '../src/output-pieces.js';
import { openRig } from './open-rig.js';

const LIMIT = 1_000_000;
const SETTINGS = { BERTH_LOG_LIMIT_BYTES: String(LIMIT) };
const MB = 1024 * 1024;

/** The most that this process held above what it held at the start, until `stop`. */
const watchMemory = () => {
  const rss = () => process.memoryUsage().rss;
  const before = rss();
  let peak = before;
  const timer = setInterval(() => {
    peak = Math.max(peak, rss());
  }, 20);
  return () => {
    clearInterval(timer);
    return peak - before;
  };
};

describe('the output of a job', () => {
  it('of 200 MB is kept at both ends, says where it was cut, and costs the worker little memory', async () => {
    const rig = openRig('output');
    await rig.openWorker({}, SETTINGS);
    const lines = 'echo begin; yes $(head -c 1000 /dev/zero | tr "\\0" y) | head -c';
    await rig.untilState(await rig.submit({ command: `${lines} 20000000` }), 'completed', 120_000);
    const command = `${lines} 200000000; printf '\\377\\376 end\\n'`;
    const stopWatching = watchMemory();
    const id = await rig.submit({ command });
    expect(await rig.untilState(id, 'completed', 240_000)).toMatchObject({ exit_code: 0 });
    expect(stopWatching()).toBeLessThan(50 * MB);
    const log = await rig.readLog(id);
    expect(log.length).toBeLessThan(LIMIT + TAIL_BYTES + 200);
    expect(log.length).toBeGreaterThanOrEqual(LIMIT + TAIL_BYTES);
    expect(log.subarray(0, 10).toString()).toBe('begin\nyyyy');
    expect(log.toString('latin1')).toContain('bytes of output were cut here');
    expect(log.subarray(-7)).toEqual(Buffer.from([0xff, 0xfe, ...Buffer.from(' end\n')]));
  }, 360_000);

  it('of one line of 20 MB fails nothing', async () => {
    const rig = openRig('output');
    const { context } = await rig.openWorker({}, SETTINGS);
    const id = await rig.submit({ command: "head -c 20000000 /dev/zero | tr '\\0' x; echo; echo end" }, 'workload');
    await rig.untilState(id, 'completed', 120_000);
    const log = (await rig.readLog(id)).toString();
    expect([log.startsWith('xxxx'), log.endsWith('xxxx\nend\n')]).toEqual([true, true]);
    expect(log.length).toBeLessThan(LIMIT + TAIL_BYTES + 200);
    await context.redis.unlink(context.store.keys.workloadLog(id));
  }, 180_000);
});
