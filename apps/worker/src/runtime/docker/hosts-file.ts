import type Docker from 'dockerode';
import { callWithin, DEADLINES } from './engine-calls.js';

const VOLUME = 'berth-hosts';
const MOUNT = '/berth-hosts';
const HOSTS = '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n';

/**
 * Makes a hosts file that names `localhost` on the engine's own machine, and gives its path there.
 *
 * A container without a network (`NetworkDisabled`) starts in half the CPU time of one on the network `none`, but nobody
 * writes its /etc/hosts, and `localhost` would not resolve. A file of ours can be mounted there, but the engine may run
 * on another machine or see other paths than we do. A volume is the engine's own folder on its own machine: we write the
 * file into it through a container that never starts, and mount it from there.
 *
 * The file is written once and then left alone: replacing it could meet a container that is just being started.
 */
export const prepareHostsFile = async (docker: Docker, image: string): Promise<string> => {
  const call = <T>(made: (abortSignal: AbortSignal) => Promise<T>) => callWithin(DEADLINES.probe, made);
  await call((abortSignal) => docker.createVolume({ Name: VOLUME, Labels: { 'berth.volume': 'hosts' }, abortSignal }));
  const volume = await call((abortSignal) => docker.getVolume(VOLUME).inspect({ abortSignal }));
  const container = await call((abortSignal) =>
    docker.createContainer({ ...toHolder(image), abortSignal } as Docker.ContainerCreateOptions),
  );
  try {
    const there = await call((abortSignal) => container.infoArchive({ path: `${MOUNT}/hosts`, abortSignal })).then(
      (reply) => (reply as unknown as NodeJS.ReadableStream).resume(),
      () => undefined,
    );
    if (there === undefined) {
      const tar = toTar('hosts', Buffer.from(HOSTS));
      await call((abortSignal) => container.putArchive(tar, { path: MOUNT, abortSignal }));
    }
  } finally {
    await call((abortSignal) => container.remove({ force: true, abortSignal }));
  }
  return `${volume.Mountpoint}/hosts`;
};

const toHolder = (image: string) => ({
  Image: image,
  Entrypoint: ['true'],
  NetworkDisabled: true,
  HostConfig: {
    NetworkMode: 'none',
    Mounts: [{ Type: 'volume', Source: VOLUME, Target: MOUNT, VolumeOptions: { NoCopy: true } }],
  },
});

/** A tar archive of one small file (POSIX ustar): a 512-byte header, the content padded to 512, two empty blocks. */
const toTar = (name: string, content: Buffer): Buffer => {
  const header = Buffer.alloc(512);
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, '0')}\0`;
  header.write(name, 0);
  header.write(octal(0o644, 7), 100);
  header.write(octal(0, 7) + octal(0, 7) + octal(content.length, 11) + octal(0, 11), 108);
  header.write('        0', 148);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const padding = Buffer.alloc((512 - (content.length % 512)) % 512);
  return Buffer.concat([header, content, padding, Buffer.alloc(1024)]);
};
