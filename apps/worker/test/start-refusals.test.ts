import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import Docker from 'dockerode';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ContainerOptions } from '../src/runtime/container-runtime.js';
import { createDockerRuntime } from '../src/runtime/docker/docker-runtime.js';
import { IMAGE, MISSING_IMAGE, PROGRAMS, toOptions } from './conformance.js';

const installation = `test-${randomUUID()}`;
const image = `${installation}:latest`;
const docker = new Docker();

const { Runtimes } = await docker.info();
const OCI_RUNTIMES = ['crun', 'runc'].filter((name) => name in Runtimes);

afterAll(async () => {
  await docker
    .getImage(image)
    .remove({ force: true })
    .catch(() => undefined);
});

/** An image whose own user is not in it. */
beforeAll(async () => {
  const container = await docker.createContainer({ Image: IMAGE, Cmd: ['true'] });
  await container.commit({ repo: installation, tag: 'latest', changes: 'USER ghost' });
  await container.remove();
});

describe.each(OCI_RUNTIMES)('what %s cannot start', (oci_runtime) => {
  const runtime = createDockerRuntime({ installation, oci_runtime, probe_image: IMAGE });
  afterEach(async () => {
    for (const { id } of await runtime.list()) await runtime.open(id).remove();
    expect(await docker.listContainers({ all: true, filters: { ancestor: [installation] } })).toEqual([]);
  });
  afterAll(() => runtime.close());

  const run = async (more: Partial<ContainerOptions>) => {
    const container = await runtime.create(toOptions(PROGRAMS.hello, installation, more));
    await container.start(() => undefined);
    return container.ended();
  };

  test('a working directory that is a file, or a link to nowhere', async () => {
    const text = /^The working directory "\/bin\/(sh|busybox\/x)" is a file in the image, or lies below one\. Choose/;
    for (const workdir of ['/bin/sh', '/bin/busybox/x']) {
      const fault = { code: 'start_failed', retryable: false, message: expect.stringMatching(text) };
      await expect(run({ workdir })).rejects.toMatchObject(fault);
    }
    const dangling = { code: 'start_failed', retryable: false, exit_code: 127 };
    await expect(run({ workdir: '/etc/mtab' })).rejects.toMatchObject(dangling);
  });

  test('an image whose user is not in it', async () => {
    const text = /user ghost.*Check the command, the working directory and the user/;
    const fault = { code: 'start_failed', retryable: false, message: expect.stringMatching(text) };
    await expect(run({ image })).rejects.toMatchObject(fault);
    expect(await run({ image, profile: 'strict' })).toMatchObject({ kind: 'exited', exit_code: 0 });
  });

  test('a program that is missing, is a folder, or may not be run', async () => {
    const absent = { kind: 'start_failed', exit_code: 127, message: expect.stringContaining('not in the image') };
    expect(await run({ argv: ['/no/such'] })).toMatchObject(absent);
    expect(await run({ argv: ['no-such'] })).toMatchObject(absent);
    const folder = { kind: 'start_failed', exit_code: 126, message: expect.stringContaining('not an executable file') };
    expect(await run({ argv: ['/etc'] })).toMatchObject(folder);
  });

  test('no program at all', async () => {
    const fault = { code: 'start_failed', retryable: false, message: expect.stringContaining('Check the command') };
    await expect(run({ argv: [''] })).rejects.toMatchObject(fault);
  });

  test('a folder that is missing is made, also where nothing can be written', async () => {
    expect(await run({ workdir: '/made/of/nothing' })).toMatchObject({ exit_code: 0 });
    expect(await run({ workdir: '/workspace/deep', profile: 'strict' })).toMatchObject({ exit_code: 0 });
  });
});

test('an engine that lacks its own program is not the job’s fault', async () => {
  const runtime = createDockerRuntime({ installation, oci_runtime: 'no-such', probe_image: IMAGE });
  const made = runtime.create(toOptions(PROGRAMS.hello, installation));
  await expect(made).rejects.toMatchObject({ code: 'engine_unavailable', retryable: true });
  expect(await runtime.list()).toEqual([]);
  expect(await runtime.isFit()).toBe(false);
  await runtime.close();
});

test('an engine that has nothing to be tried out with is taken to be fit', async () => {
  const runtime = createDockerRuntime({ installation, probe_image: MISSING_IMAGE });
  expect(await runtime.isFit()).toBe(true);
  await runtime.close();
});

test('an engine shows that it is fit, and keeps nothing of it', async () => {
  const runtime = createDockerRuntime({ installation, probe_image: IMAGE });
  const events = await docker.getEvents({ filters: JSON.stringify({ event: ['destroy'], label: ['berth.room'] }) });
  const destroyed = once(events, 'data');
  expect(await runtime.isFit()).toBe(true);
  await destroyed;
  (events as Readable).destroy();
  await runtime.close();
});
