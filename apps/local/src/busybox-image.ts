import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { type Header, pack } from 'tar-stream';

const passwd = 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n';
const group = 'root:x:0:\nnogroup:x:65534:\n';
const interpreter_segment = 3;

export type TarEntry = Pick<Header, 'name'> & Partial<Header> & { content?: Buffer | string };

const folder = (name: string, mode = 0o755): TarEntry => ({ name, mode, type: 'directory' });
const link = (name: string, linkname: string): TarEntry => ({ name, linkname, type: 'symlink' });
const file = (name: string, content: Buffer | string, mode = 0o644): TarEntry => ({ name, mode, content });

/** The files of a small image around one static busybox: a link for each applet, two users, a /tmp for all. */
export const toImageEntries = (busybox: Buffer, applets: readonly string[]): TarEntry[] => [
  ...[folder('bin'), folder('etc'), folder('usr'), folder('usr/bin'), folder('root', 0o700), folder('tmp', 0o1777)],
  file('bin/busybox', busybox, 0o755),
  ...applets.filter((name) => name !== 'busybox').map((name) => link(`bin/${name}`, 'busybox')),
  link('usr/bin/env', '../../bin/busybox'),
  file('etc/passwd', passwd),
  file('etc/group', group),
];

/** Of a 64-bit little-endian ELF program: whether it needs no loader, and so no library. False for anything else. */
export const isStaticProgram = (program: Buffer): boolean => {
  const elf64 = program.length > 64 && program.subarray(0, 6).equals(Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1]));
  if (!elf64) return false;
  const table = Number(program.readBigUInt64LE(32));
  const size = program.readUInt16LE(54);
  const count = program.readUInt16LE(56);
  for (let index = 0; index < count; index += 1)
    if (program.readUInt32LE(table + index * size) === interpreter_segment) return false;
  return true;
};

/** As a tar stream. `path` is that of a static busybox, which names its applets itself. */
export const readBusyboxImage = (path: string): Readable => {
  const applets = execFileSync(path, ['--list'], { encoding: 'utf8' }).split('\n').filter(Boolean);
  const tar = pack();
  for (const { content, ...header } of toImageEntries(readFileSync(path), applets)) tar.entry(header, content ?? '');
  tar.finalize();
  return Readable.from(tar);
};
