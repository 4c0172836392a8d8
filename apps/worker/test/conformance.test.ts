import { randomUUID } from 'node:crypto';
import Docker from 'dockerode';
import { createDockerRuntime } from '../src/runtime/docker/docker-runtime.js';
import { createFakeEngine, createFakeRuntime } from '../src/runtime/fake-runtime.js';
import { describeConformance, IMAGE, MISSING_IMAGE, type Subject, toFakeProgram } from './conformance.js';
import { describeEnds } from './conformance-ends.js';
import { describeFiles, FILER } from './conformance-files.js';
import { describeOutput, TALKER } from './conformance-output.js';
import { describeUsage } from './conformance-usage.js';

const engine = createFakeEngine({
  program: (options) => [TALKER, FILER].find(({ argv }) => argv === options.argv)?.fake ?? toFakeProgram(options),
  images: (image) => (image === MISSING_IMAGE ? 'unknown' : 'here'),
});

const fake: Subject = {
  installation: 'conformance',
  open: (installation) => createFakeRuntime(engine, installation),
  removeExternally: async (id) => engine.removeExternally(id),
  killExternally: async (id, signal) => engine.killExternally(id, signal),
};

const docker = new Docker();

const real: Subject = {
  installation: `test-${randomUUID()}`,
  open: (installation) => createDockerRuntime({ installation, probe_image: IMAGE }),
  removeExternally: async (id) => {
    await docker.getContainer(id).remove({ force: true });
  },
  killExternally: async (id, signal) => {
    await docker.getContainer(id).kill({ signal: String(signal) });
  },
};

for (const describeAll of [describeConformance, describeEnds, describeOutput, describeUsage, describeFiles]) {
  describeAll('the fake', fake);
  describeAll('the Docker engine', real);
}
