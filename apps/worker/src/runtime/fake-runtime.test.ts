import { expect, test, vi } from 'vitest';
import { createFakeEngine, createFakeRuntime } from './fake-runtime.js';

test('a fake engine that has thrown away the beginning says so before it hands on the rest', async () => {
  const output = ['one\n', 'two\n', 'three\n', 'four\n'].map((data) => ({ stream: 'stdout' as const, data }));
  const engine = createFakeEngine({ program: () => ({ output }) });
  const runtime = createFakeRuntime(engine);
  const labels = { job_id: 'j', epoch: 1, attempt: 1, deadline: 4e9, installation: 'fake' };
  const shape = { name: 'berth-j-e1', image: 'i', argv: [], env: {}, workdir: '/', centicpus: 1, memory_mb: 6, labels };
  const container = await runtime.create({ ...shape, network: 'none', profile: 'standard' });
  await container.start(() => undefined);
  await container.ended();
  engine.forgetOutput(container.id, 2);
  const seen: string[] = [];
  const onGap = vi.fn(() => seen.push('gap'));
  const stderr = { bytes: 0, tail: Buffer.alloc(0) };
  const stdout = { bytes: 4, tail: Buffer.from('one\n') };
  const sink = (_: string, chunk: Buffer) => seen.push(chunk.toString());
  await runtime.open(container.id).follow(sink, { stdout, stderr, onGap });
  expect(seen).toEqual(['gap', 'e\n', 'four\n']);
});
