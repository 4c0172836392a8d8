import { randomUUID } from 'node:crypto';
import { toOutcome } from '@berth/domain';
import { afterAll, afterEach, expect, test } from 'vitest';
import { createDockerRuntime } from '../src/runtime/docker/docker-runtime.js';
import { IMAGE, PROGRAMS, toOptions } from './conformance.js';

const RUNS = 30;
const installation = `test-${randomUUID()}`;
const runtime = createDockerRuntime({ installation, probe_image: IMAGE });

afterEach(async () => {
  for (const { id } of await runtime.list()) await runtime.open(id).remove();
});
afterAll(() => runtime.close());

const runOutOfMemory = async () => {
  const container = await runtime.create(toOptions(PROGRAMS.hungry, installation, { memory_mb: 16 }));
  await container.start(() => undefined);
  const report = await container.ended();
  await container.remove();
  return report;
};

test('the engine may miss a death for want of memory; we never do', async () => {
  for (let run = 0; run < RUNS; run += 1) {
    const report = await runOutOfMemory();
    const outcome = toOutcome(report, { intent: undefined, deadline_ms: Number.POSITIVE_INFINITY });
    expect({ outcome, run }).toEqual({ outcome: { kind: 'out_of_memory', exit_code: 137 }, run });
  }
}, 360_000);
