import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Figure } from './figure.js';
import { percentile } from './statistics.js';

const SCRIPT = fileURLToPath(new URL('../../e2e/run.mjs', import.meta.url));
const LIMIT_MS = 120_000;
const NAME = 'kill -9 of the only worker of a machine → new epoch started on another';

/** Two machines are two engines of a fault world, which only Linux and root can open: it is a process of its own. */
const runWorld = (dockerHost: string, rounds: number): Promise<number[]> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [SCRIPT, 'recovery/main.ts', String(rounds)], {
      env: { ...process.env, DOCKER_HOST: dockerHost },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: LIMIT_MS * rounds,
    });
    let output = '';
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    child.once('error', reject);
    child.once('close', (code) => {
      const last = output.trim().split('\n').at(-1) ?? '';
      if (code === 0) resolve((JSON.parse(last) as { seconds: number[] }).seconds);
      else reject(new Error(`exit ${code}: ${said.slice(-500)}`));
    });
  });

/** Where no world can be opened, the figure says why it is missing. */
export const measureOtherMachine = async (dockerHost: string, rounds: number): Promise<Figure> => {
  try {
    const seconds = await runWorld(dockerHost, rounds);
    const value = percentile(seconds, 1);
    return { name: NAME, value, unit: 's', target: { at_most: 45 }, rounds: seconds };
  } catch (error) {
    return { name: NAME, value: Number.NaN, unit: 's', note: `not measured: ${(error as Error).message.trim()}` };
  }
};
