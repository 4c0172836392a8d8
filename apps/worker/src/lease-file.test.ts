import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createLeaseNote, readLeaseFile, writeLeaseFile } from './lease-file.js';

let dir: string;
const lease = {
  installation: 'berth-1a2b',
  engine: 'AB:CD',
  exclusive: true,
  renewed_at: 1_800_000_000_123,
  lease_ms: 20_000,
};

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'berth-lease-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

it('reads back what was written, and the last writer wins', async () => {
  await writeLeaseFile(dir, lease);
  expect(await readLeaseFile(dir, lease.installation)).toEqual(lease);
  const later = { ...lease, exclusive: false, renewed_at: lease.renewed_at + 5_000, lease_ms: 300_000 };
  await writeLeaseFile(dir, later);
  expect(await readLeaseFile(dir, lease.installation)).toEqual(later);
});

it('is whole at every moment, whoever writes at once, and leaves nothing beside it', async () => {
  await writeLeaseFile(dir, lease);
  const writers = Array.from({ length: 20 }, () => writeLeaseFile(dir, lease));
  const readers = Array.from({ length: 20 }, () => readLeaseFile(dir, lease.installation));
  for (const read of await Promise.all(readers)) expect(read).toMatchObject(lease);
  await Promise.all(writers);
  expect(readdirSync(dir)).toEqual(['berth-1a2b.lease']);
});

it('does not leave the folder, whatever a label says', async () => {
  const inner = join(dir, 'inner');
  await expect(writeLeaseFile(inner, lease)).rejects.toThrow('ENOENT');
  const installation = '../outside';
  await writeLeaseFile(dir, { ...lease, installation });
  expect(readdirSync(dir)).toEqual(['..%2Foutside.lease']);
  expect(await readLeaseFile(dir, installation)).toMatchObject({ engine: 'AB:CD' });
});

it.each(['', '{', 'null', '{"engine": 1}', '{"engine": "e", "exclusive": "yes", "lease_ms": 20000}'])(
  'takes %j for no lease',
  async (text) => {
    writeFileSync(join(dir, 'i.lease'), text);
    expect(await readLeaseFile(dir, 'i')).toBeUndefined();
  },
);

it('knows nothing of an installation that has none, or that no file can be named after', async () => {
  expect(await readLeaseFile(dir, 'i')).toBeUndefined();
  expect(await readLeaseFile(dir, 'x'.repeat(5_000))).toBeUndefined();
});

it('is noted by the worker at any pace, and the last note stays', async () => {
  const note = createLeaseNote(dir, { installation: 'i', engine: 'e' }, pino({ level: 'silent' }));
  for (let left = 20_000; left > 0; left -= 1_000) note(left, false);
  note(300_000, true);
  await vi.waitFor(async () =>
    expect(await readLeaseFile(dir, 'i')).toMatchObject({ lease_ms: 300_000, exclusive: true }),
  );
  const { renewed_at = 0 } = (await readLeaseFile(dir, 'i')) ?? {};
  expect(Math.abs(Date.now() - renewed_at)).toBeLessThan(5_000);
});

it('says once that it cannot be written, and is written when it can', async () => {
  const lines: string[] = [];
  const inner = join(dir, 'inner');
  const note = createLeaseNote(inner, { installation: 'i', engine: 'e' }, pino({}, { write: (l) => lines.push(l) }));
  note(20_000, true);
  await vi.waitFor(() => expect(lines).toHaveLength(1));
  note(19_000, true);
  note(18_000, true);
  mkdirSync(inner);
  note(17_000, true);
  await vi.waitFor(async () => expect(await readLeaseFile(inner, 'i')).toMatchObject({ lease_ms: 17_000 }));
  expect(lines).toHaveLength(1);
});
