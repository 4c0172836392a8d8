import { randomUUID } from 'node:crypto';
import { createStore, openRedis } from '@berth/store';
import Docker from 'dockerode';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createImageUpkeep, notingUses } from '../src/image-upkeep.js';
import type { ContainerRuntime } from '../src/runtime/container-runtime.js';
import { createDockerRuntime } from '../src/runtime/docker/docker-runtime.js';
import { IMAGE, toOptions } from './conformance.js';
import { openImageRegistry } from './image-registry.js';

const HOUR_MS = 3600_000;
const installation = `test-${randomUUID()}`;
const docker = new Docker();
const redis = openRedis(process.env.REDIS_URL ?? '', 'steady');
const { images } = createStore(redis, `test-images-${process.pid}`);

let registry: Awaited<ReturnType<typeof openImageRegistry>>;
let runtime: ContainerRuntime;
let now_ms = Date.now();
beforeAll(async () => {
  registry = await openImageRegistry();
  const bare = createDockerRuntime({ installation, probe_image: IMAGE });
  runtime = notingUses(bare, images, { engine: 'e', now: () => now_ms });
});
const names = ['first', 'second', 'busy', 'late'];
const toImage = (name: string): string => `${registry.host}/upkeep/${name}:1`;
afterAll(async () => {
  for (const { id } of await runtime.list()) await runtime.open(id).remove();
  for (const name of [...names.map(toImage), 'berth-test-local:1']) {
    await docker
      .getImage(name)
      .remove()
      .catch(() => undefined);
  }
  await runtime.close();
  await registry.close();
  await redis.unlink(...(await redis.keys(`test-images-${process.pid}:*`)));
  redis.disconnect();
});

const has = (image: string): Promise<boolean> =>
  docker
    .getImage(image)
    .inspect()
    .then(
      () => true,
      () => false,
    );

it('on a full disk the engine loses what jobs have not used for long, and nothing that is in use or came from nowhere', async () => {
  await docker.getImage(IMAGE).tag({ repo: 'berth-test-local', tag: '1' });
  for (const image of ['busy', 'first', 'second', 'late'].map(toImage).toSpliced(1, 0, 'berth-test-local:1', IMAGE)) {
    await runtime.resolveImage(image);
    now_ms += HOUR_MS;
  }
  await runtime.create(toOptions({ argv: ['/x'], fake: {} }, installation, { image: toImage('busy') }));
  now_ms -= HOUR_MS;
  const upkeep = createImageUpkeep({
    runtime,
    uses: images,
    engine: 'e',
    readDisk: async () => ({ total_mb: 100, free_mb: 10 }),
    percent: 85,
    defaultImage: IMAGE,
    now: () => now_ms,
    log: pino({ level: 'silent' }),
  });
  expect(await upkeep()).toEqual([toImage('first'), toImage('second')]);
  const left = await Promise.all([...names.map(toImage), 'berth-test-local:1', IMAGE].map(has));
  expect(left).toEqual([false, false, true, true, true, true]);
  expect((await images.listUnused('e', now_ms)).map(({ image }) => image)).not.toContain(toImage('first'));
  await runtime.resolveImage(toImage('first'));
  expect(await has(toImage('first'))).toBe(true);
});

it('an image that is used while it is looked at is not removed', async () => {
  await images.note('f', 'a', 1);
  const [seen] = await images.listUnused('f', 10);
  if (!seen) throw new Error('expected an image');
  await images.note('f', 'a', 2);
  let worked = false;
  const work = async () => {
    worked = true;
    return true;
  };
  expect([await images.remove('f', seen, work), worked]).toEqual([false, false]);
  const removal = images.remove('f', { image: 'a', used_at: 2 }, async () => {
    expect(await images.note('f', 'a', 3)).toBe(true);
    return false;
  });
  expect(await removal).toBe(false);
  expect(await images.isGoing('f', 'a')).toBe(false);
});
