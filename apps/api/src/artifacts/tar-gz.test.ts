import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import { expect, it } from 'vitest';
import { toTarGz } from './tar-gz.js';

const LAST = '2038-01-19T03:14:07.000Z';

it.each([
  ['2024-02-29T12:00:00.000Z', '2024-02-29T12:00:00.000Z'],
  ['2038-01-20T00:00:00.000Z', LAST],
  ['2090-01-01T00:00:00.000Z', LAST],
])('a file that was changed at %s is there whole, with %s', async (changed, shown) => {
  const changed_at = Date.parse(changed) / 1000;
  const file = { path: 'a.txt', bytes: 5, sha256: '', offset: 0, mode: 0o644, changed_at };
  const take = async function* () {
    yield Buffer.from('hello');
  };
  const tar = Readable.from(toTarGz([file], take))
    .pipe(createGunzip())
    .pipe(extract());
  const found: unknown[] = [];
  for await (const entry of tar) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    found.push([entry.header.name, entry.header.mtime?.toISOString(), String(Buffer.concat(chunks))]);
  }
  expect(found).toEqual([['a.txt', shown, 'hello']]);
});
