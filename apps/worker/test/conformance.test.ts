import { randomUUID } from 'node:crypto';
import Docker from 'dockerode';
import { createDockerRuntime } from '../src/runtime/docker/docker-runtime.js';
import { createFakeEngine, createFakeRuntime } from '../src/runtime/fake-runtime.js';
import { describeConformance, IMAGE, MISSING_IMAGE, toFakeProgram } from './conformance.js';

const engine = createFakeEngine({
  program: toFakeProgram,
  images: (image) => (image === MISSING_IMAGE ? 'unknown' : 'here'),
});

describeConformance('the fake', {
  installation: 'conformance',
  open: (installation) => createFakeRuntime(engine, installation),
  removeExternally: async (id) => engine.removeExternally(id),
});

const docker = new Docker();

describeConformance('the Docker engine', {
  installation: `test-${randomUUID()}`,
  open: (installation) => createDockerRuntime({ installation, probe_image: IMAGE }),
  removeExternally: async (id) => {
    await docker.getContainer(id).remove({ force: true });
  },
});
