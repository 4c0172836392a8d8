import { expect, test } from 'vitest';
import { toEngineText } from './faults.js';

const HASH = '0123456789abcdef'.repeat(4);

test.each([
  [`lstat /var/lib/docker/overlay2/${HASH}/merged/bin/x: not a directory`, 'lstat /bin/x: not a directory'],
  [`unable to open "/srv/d/overlay2/${HASH}-init/diff/etc": gone`, 'unable to open "/etc": gone'],
  [`mkdir /run/containerd/io.containerd.runtime.v2.task/moby/${HASH}/rootfs: full`, 'mkdir : full'],
  [`open /x/${HASH}/mergedfile`, 'open /mergedfile'],
  [`No such container: ${HASH}`, `No such container: ${HASH}`],
  ['chdir `/etc/mtab`: Not a directory', 'chdir `/etc/mtab`: Not a directory'],
  ['x'.repeat(900), 'x'.repeat(500)],
])('an engine’s text names no folder of its machine: %s', (message, text) => {
  expect(toEngineText(Object.assign(new Error('(HTTP code 500) -'), { json: { message } }))).toBe(text);
  expect(toEngineText(new Error(`(HTTP code 500) server error - ${message}`))).toBe(text);
});
