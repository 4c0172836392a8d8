import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { afterAll, afterEach, describe, expect, inject, it } from 'vitest';
import { openDocker } from '../src/docker-client.js';
import { findStaticBusybox, importBusybox } from '../src/image.js';
import { pullImage } from '../src/pull-image.js';

let server: Server | undefined;
const folder = mkdtempSync(join(tmpdir(), 'berth-image-'));

/** An engine without the image, which answers a pull as told. */
const openStubEngine = async (onPull: RequestListener): Promise<Docker> => {
  const socketPath = join(mkdtempSync(join(folder, 'engine-')), 'docker.sock');
  server = createServer((request, response) => {
    if (request.method === 'POST') return onPull(request, response);
    response.writeHead(404, { 'content-type': 'application/json' }).end('{"message":"no such image"}');
  }).listen(socketPath);
  await once(server, 'listening');
  return new Docker({ socketPath });
};

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  server = undefined;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const options = (lines: string[], answer_ms = 10_000) => ({ say: (line: string) => lines.push(line), answer_ms });

describe('a pull', () => {
  it('is given up where no registry answers', async () => {
    const lines: string[] = [];
    const docker = await openStubEngine(() => {});
    expect(await pullImage(docker, 'busybox:stable', options(lines, 50))).toBe(false);
    expect(lines.at(-1)).toBe('busybox:stable could not be pulled: no image registry answered in time');
  });

  it('fails on an error line though the engine said 200', async () => {
    const lines: string[] = [];
    const docker = await openStubEngine((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end('{"status":"Pulling"}\n{"error":"manifest unknown"}\n');
    });
    expect(await pullImage(docker, 'busybox:stable', options(lines))).toBe(false);
    expect(lines.at(-1)).toBe('busybox:stable could not be pulled: manifest unknown');
  });

  it('succeeds when the engine says so to the end', async () => {
    const docker = await openStubEngine((_request, response) => response.end('{"status":"Downloaded"}\n'));
    expect(await pullImage(docker, 'busybox:stable', options([]))).toBe(true);
  });
});

const busybox = findStaticBusybox();

describe.skipIf(!busybox)('the stand-in image', () => {
  it('runs a shell as nobody, with its applets and a /tmp to write in', async () => {
    const docker = openDocker(inject('dockerHost'));
    const name = `berth-test-busybox:p${process.pid}`;
    await importBusybox(docker, busybox ?? '', name);
    const container = await docker.createContainer({
      Image: name,
      User: 'nobody',
      Cmd: ['sh', '-c', 'touch /tmp/x && /usr/bin/env true && test "$(id -u)" = 65534 && test "$(uname)" = Linux'],
      HostConfig: { NetworkMode: 'none' },
    });
    try {
      await container.start();
      expect(await container.wait()).toMatchObject({ StatusCode: 0 });
    } finally {
      await container.remove({ force: true });
      await docker.getImage(name).remove();
    }
  });
});
