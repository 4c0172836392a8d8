import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';

const hash = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** A registry on loopback, whose every repository is an image of no files, each another one. */
export const openImageRegistry = async () => {
  const layer = Buffer.alloc(1024);
  const packed = gzipSync(layer);
  const blobs = new Map<string, Buffer>([[hash(packed), packed]]);
  const add = (bytes: Buffer): { digest: string; size: number } => {
    blobs.set(hash(bytes), bytes);
    return { digest: hash(bytes), size: bytes.length };
  };
  const toManifest = (name: string): Buffer => {
    const config = add(
      Buffer.from(
        JSON.stringify({
          architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
          os: 'linux',
          config: { Cmd: ['/x'], Labels: { name } },
          rootfs: { type: 'layers', diff_ids: [hash(layer)] },
        }),
      ),
    );
    const type = 'application/vnd.docker';
    return Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: `${type}.distribution.manifest.v2+json`,
        config: { mediaType: `${type}.container.image.v1+json`, ...config },
        layers: [{ mediaType: `${type}.image.rootfs.diff.tar.gzip`, digest: hash(packed), size: packed.length }],
      }),
    );
  };
  const server = createServer((request, response) => {
    const [, name = '', kind, what = ''] = /^\/v2\/(.+)\/(manifests|blobs)\/(.+)$/.exec(request.url ?? '') ?? [];
    const bytes = kind === 'manifests' ? toManifest(name) : kind === 'blobs' ? blobs.get(what) : Buffer.alloc(0);
    if (!bytes) return response.writeHead(404).end();
    const type = 'application/vnd.docker.distribution.manifest.v2+json';
    response.writeHead(200, {
      'content-type': kind === 'manifests' ? type : 'application/octet-stream',
      'content-length': bytes.length,
      ...(kind === 'manifests' ? { 'docker-content-digest': hash(bytes) } : {}),
    });
    response.end(request.method === 'HEAD' ? undefined : bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { host: `localhost:${port}`, close: () => new Promise((resolve) => server.close(resolve)) };
};
