import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { type ArtifactManifest, objectNames } from '@berth/store';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { until } from '../harness.js';
import { sideEffectJob } from './ledger.js';
import { describeFaults } from './rows.js';
import { letEnd, readTale } from './worker-scenes.js';
import { openWorld, type World } from './world.js';

const WRITES = 'mkdir out; for i in 1 2 3; do head -c 3000000 /dev/zero | tr "\\0" $i > out/$i; done';
const WAITS = 'while [ ! -e /tmp/end ]; do usleep 100000; done; exit 4';

describeFaults('a worker that dies while it stores what a container has left', () => {
  let world: World;
  beforeAll(async () => {
    world = await openWorld({ supervised: true });
  });
  afterAll(() => world?.close());

  const startJob = async () => {
    const spec = sideEffectJob(`${WRITES}; echo ready; ${WAITS}`, { outputs: ['out/**'], cpus: 0.5 });
    const { job_id } = await world.submit(spec);
    const isReady = async () => (await world.store.logs.readTails(job_id, 1, 100)).stdout.bytes.length > 0 || undefined;
    await until('its files', isReady);
    const pathOf = (name: string) => join(world.folder, 'files', name);
    const { pack, manifest } = objectNames.outputs(job_id, 1);
    return { job_id, pack: pathOf(pack), manifest: pathOf(manifest) };
  };
  const untilThere = (path: string) => until(path, async () => existsSync(path) || undefined);

  const expectWhole = async ({ job_id, pack, manifest }: Awaited<ReturnType<typeof startJob>>) => {
    await world.wait(job_id);
    const end = { cause: 'exit_code', exit_code: 4, epoch: 1, attempt: 1, side_effects: [1] };
    const { adoptions, ...tale } = await readTale(world, job_id);
    expect(tale).toMatchObject(end);
    // Who stands still for some seconds loses it to the next.
    expect(adoptions).toBeGreaterThan(0);
    const job = await world.store.jobs.read(job_id);
    expect(job?.attempts[0]?.artifacts).toEqual({ epoch: 1, files: 3, bytes: 9_000_000, refused: 0, notes: [] });
    const { files } = JSON.parse(gunzipSync(readFileSync(manifest)).toString()) as ArtifactManifest;
    const packed = readFileSync(pack);
    for (const { path, offset, bytes } of files) {
      expect(packed.subarray(offset, offset + bytes).equals(Buffer.alloc(3_000_000, path.at(-1)))).toBe(true);
    }
  };

  it('between the pack and the manifest: whoever adopts collects again, and the job ends once', async () => {
    const job = await startJob();
    const owner = await world.ownerOf(job.job_id);
    // Nothing can be moved to the place of a folder that is not empty: as a store that fails for now.
    mkdirSync(join(job.manifest, 'x'), { recursive: true });
    await letEnd(world, [job.job_id]);
    await untilThere(job.pack);
    await owner.end('SIGKILL');
    expect((await world.store.jobs.read(job.job_id))?.state).toBe('running');
    rmSync(job.manifest, { recursive: true });
    await expectWhole(job);
    await world.verify();
  });

  it('between the manifest and the record of the end: the same', async () => {
    const job = await startJob();
    const owner = await world.ownerOf(job.job_id);
    await owner.link.drop();
    await letEnd(world, [job.job_id]);
    await untilThere(job.manifest);
    // A next run of it would have connections by the time that those of this one are forgotten.
    owner.supervise(false);
    await owner.end('SIGKILL');
    await owner.link.forget();
    await owner.link.heal();
    await owner.start();
    await expectWhole(job);
    await world.verify();
  });
});
