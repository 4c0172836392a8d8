import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type Docker from 'dockerode';
import { type EngineChoices, toCreateBody } from '../../apps/worker/dist/runtime/docker/container-options.js';
import { IMAGE, toEchoOptions, WIDTH } from './echo-job.js';
import { runLanes } from './lanes.js';

/** What a hand-written loop does for one job: the worker's own create body, and no call that is not needed for its outcome and output. */
const runBare = async (docker: Docker, choices: EngineChoices, onOutcome: () => void): Promise<void> => {
  const options = toEchoOptions(randomUUID());
  const request = { _query: { name: options.name }, _body: toCreateBody(options, choices) };
  const container = await docker.createContainer(request as object);
  const attach = { hijack: true, _query: { stream: true, stdout: true, stderr: true }, _body: {} };
  const stream = (await container.attach(attach as object)) as unknown as Duplex;
  const output: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => output.push(chunk));
  const waited = container.wait({ condition: 'next-exit' });
  await container.start();
  await waited;
  const { State } = await container.inspect();
  if (State.ExitCode !== 0 || !Buffer.concat(output).includes('hi\n')) throw new Error('a bare container failed');
  onOutcome();
  await container.remove({ force: true, v: true });
  stream.destroy();
};

/** Seconds until the last of `count` outcomes is known, at the width of the benchmark. */
export const runBareLoop = async (docker: Docker, choices: EngineChoices, count: number): Promise<number> => {
  const begun = performance.now();
  let last = begun;
  await runLanes(count, WIDTH, () =>
    runBare(docker, choices, () => {
      last = performance.now();
    }),
  );
  return (last - begun) / 1000;
};

/** Seconds that `xargs -P4 docker run --rm --network none` takes for `count` jobs, with the engine's default OCI runtime. */
export const runDockerCli = async (host: string, count: number): Promise<number> => {
  const command = `seq ${count} | xargs -P${WIDTH} -I{} docker run --rm --network none ${IMAGE} echo hi`;
  const begun = performance.now();
  const child = spawn('/bin/sh', ['-c', command], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, DOCKER_HOST: host },
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0 || output !== 'hi\n'.repeat(count)) throw new Error(`docker run failed (exit ${code})`);
  return (performance.now() - begun) / 1000;
};
