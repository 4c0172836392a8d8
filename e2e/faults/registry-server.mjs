// Runs in an engine's network namespace: an image registry with one image of one layer, under every name that there is. What a name
// begins with says how it behaves, see registry.ts. Says on its output, one line each, what it was asked for.
// ARGV: port, the layer's file (gzipped tar), the digest of that tar.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { gzipSync } from 'node:zlib';

const [port, file, diff_id] = process.argv.slice(2);
const tar = readFileSync(file);
const zipped = gzipSync(tar, { level: 1 });
const TRICKLE_MS = 200;
const MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
const sha256 = (bytes) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** The same files under digests of its own for each name, or the engine would have them already: the time in gzip's head differs. */
const images = new Map();
const toImage = (name) => {
  const known = images.get(name);
  if (known) return known;
  const layer = Buffer.from(zipped);
  layer.writeUInt32LE(images.size + 1, 4);
  const config = Buffer.from(
    JSON.stringify({
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      config: { Cmd: ['sh'], Labels: { name } },
      rootfs: { type: 'layers', diff_ids: [diff_id] },
    }),
  );
  const toPart = (mediaType, bytes) => ({ mediaType, size: bytes.length, digest: sha256(bytes) });
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: toPart('application/vnd.docker.container.image.v1+json', config),
      layers: [toPart('application/vnd.docker.image.rootfs.diff.tar.gzip', layer)],
    }),
  );
  const image = {
    manifest,
    layer: sha256(layer),
    blobs: new Map([config, layer].map((bytes) => [sha256(bytes), bytes])),
  };
  images.set(name, image);
  return image;
};

const refuse = (reply, status, code) => {
  reply.writeHead(status, { 'content-type': 'application/json' });
  reply.end(JSON.stringify({ errors: [{ code, message: code.toLowerCase() }] }));
};

const send = (request, reply, { type, bytes }, trickles) => {
  reply.writeHead(200, {
    'content-type': type,
    'content-length': bytes.length,
    'docker-content-digest': sha256(bytes),
  });
  if (request.method === 'HEAD') return reply.end();
  if (!trickles) return reply.end(bytes);
  let at = 0;
  const step = setInterval(() => reply.write(bytes.subarray(at, ++at)), TRICKLE_MS);
  reply.on('close', () => clearInterval(step));
};

const say = (line) => process.stdout.write(`${line}\n`);

createServer((request, reply) => {
  const [, name, kind, reference] = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(request.url) ?? [];
  if (name === undefined) return reply.writeHead(200, { 'docker-distribution-api-version': 'registry/2.0' }).end('{}');
  const what = reference === images.get(name)?.layer ? 'layer' : kind;
  say(`${request.method} ${name} ${what}`);
  reply.on('close', () => reply.writableFinished || say(`LEFT ${name} ${what}`));
  if (name.startsWith('missing')) return refuse(reply, 404, 'MANIFEST_UNKNOWN');
  if (name.startsWith('broken')) return refuse(reply, 503, 'UNAVAILABLE');
  const { manifest, blobs } = toImage(name);
  if (kind === 'manifests') return send(request, reply, { type: MANIFEST, bytes: manifest });
  const bytes = blobs.get(reference);
  if (bytes === undefined) return refuse(reply, 404, 'BLOB_UNKNOWN');
  send(request, reply, { type: 'application/octet-stream', bytes }, name.startsWith('slow'));
}).listen(Number(port), '127.0.0.1', () => say('listening'));
