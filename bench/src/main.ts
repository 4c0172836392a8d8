import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureImage, loadConfig, openDocker, openEngine } from '@berth/local';
import type { Bench } from './bench.js';
import { openOwnBroker } from './broker.js';
import { benchLogs } from './chatty.js';
import { benchContainers } from './containers.js';
import { isMet, type Section, toTable } from './figure.js';
import { benchFiles } from './files.js';
import { benchHistory } from './history.js';
import { benchLatency } from './latency.js';
import { describeMachine, type Machine, toMachineText } from './machine.js';
import { benchMemory } from './memory.js';
import { type Benchmark, type Options, parseOptions, USAGE } from './options.js';
import { benchScheduling } from './scheduling.js';
import { benchShapes } from './shapes.js';
import { benchSubmit } from './submit.js';
import { benchTrust } from './trust.js';
import { benchUtilisation } from './utilisation.js';

const RESULTS = fileURLToPath(new URL('../results/', import.meta.url));

const RUNS: Record<Benchmark, (bench: Bench) => Promise<Section>> = {
  containers: benchContainers,
  latency: benchLatency,
  submit: benchSubmit,
  memory: benchMemory,
  shapes: benchShapes,
  scheduling: benchScheduling,
  utilisation: benchUtilisation,
  trust: benchTrust,
  files: benchFiles,
  logs: benchLogs,
  history: benchHistory,
};

const writeResults = (machine: Machine, options: Options, sections: Section[]): string => {
  const at = new Date().toISOString();
  mkdirSync(RESULTS, { recursive: true });
  const path = join(RESULTS, `${at.slice(0, 19).replaceAll(':', '-')}.json`);
  writeFileSync(path, `${JSON.stringify({ at, machine, options, sections }, null, 2)}\n`);
  return path;
};

const run = async (options: Options, folder: string): Promise<void> => {
  const config = { ...loadConfig(), dataDir: folder, say: (line: string) => console.log(line) };
  const engine = await openEngine(config);
  const docker = openDocker(engine.host);
  const broker = await openOwnBroker(folder);
  try {
    await ensureImage(docker, config);
    const machine = await describeMachine(broker.redis, docker);
    console.log(toMachineText(machine));
    const bench: Bench = { ...options, broker, docker, dockerHost: engine.host, folder };
    const sections: Section[] = [];
    for (const name of options.only) {
      const section = await RUNS[name](bench);
      console.log(toTable(section));
      sections.push(section);
    }
    const missed = sections.flatMap(({ figures }) => figures.filter((figure) => isMet(figure) === false));
    console.log(
      `\n${missed.length === 0 ? 'Every target was met.' : `Missed: ${missed.map(({ name }) => name).join('; ')}.`}`,
    );
    console.log(`Written to ${writeResults(machine, options, sections)}`);
  } finally {
    await broker.close();
    await engine.close();
  }
};

const readOptions = (): Options => {
  try {
    return parseOptions(process.argv.slice(2));
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${USAGE}`);
    process.exit(2);
  }
};

const options = readOptions();
if (options.help) {
  console.log(USAGE);
} else {
  const folder = mkdtempSync(join(tmpdir(), 'berth-bench-'));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  await run(options, folder);
  process.exit(0);
}
