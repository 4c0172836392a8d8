import { posix } from 'node:path';
import type Docker from 'dockerode';
import { RuntimeFault } from '../container-runtime.js';
import { readFileKind } from './container-files.js';
import { toEngineText, toStatusCode } from './faults.js';
import { type CreateBody, NO_PROGRAM, tryOut } from './trials.js';

export interface Refusal {
  at: 'create' | 'start';
  /** What the engine was asked for, as for a create call. */
  body: CreateBody & { WorkingDir: string };
  /** The engine's answer. */
  error: unknown;
  /** The exit code that the engine gave the container, where there is one. */
  exit_code?: number;
}

const DONE = { create: 'created', start: 'started' };
/** Of what a job or its image asks for, all that an engine may refuse. The rest is ours, or was checked. */
const NO_WISHES = { WorkingDir: '/', User: '0:0', Env: [] };

/**
 * An engine says 500 where its own disk is full as well as where the job's working directory is a file, 400 where it lacks a program
 * of its own, and the exit code that it makes up for a container which it could not start is taken from a text. So it is tried out: where it takes a
 * container of the same image without the job's wishes, and refuses another one with them, they are the cause, and it
 * would refuse them again. Otherwise it was its own trouble, and another time may do. Costs a second or two, and only
 * after a refusal.
 */
export const judgeRefusal = async (docker: Docker, refusal: Refusal): Promise<RuntimeFault> => {
  const { at, error, exit_code } = refusal;
  const more = { cause: error, ...(exit_code === undefined ? {} : { exit_code }) };
  const reason = await findReason(docker, refusal);
  if (reason !== undefined) return new RuntimeFault('start_failed', reason, more);
  const text = `The container could not be ${DONE[at]}: ${toEngineText(error)}`;
  return new RuntimeFault(at === 'create' ? 'engine_unavailable' : 'start_failed', text, { ...more, retryable: true });
};

/** For people. Undefined where the job's wishes are not to blame, or where nobody can tell. */
const findReason = async (docker: Docker, { at, body, error }: Refusal): Promise<string | undefined> => {
  const take = async (container: Docker.Container, abortSignal: AbortSignal) => {
    if (at === 'start') await container.start({ abortSignal });
  };
  const without = tryOut(docker, { ...body, ...NO_WISHES, ...NO_PROGRAM }, async (container, abortSignal) => {
    const is_folder = await canBeFolder(container, body.WorkingDir);
    await take(container, abortSignal);
    return { is_folder };
  });
  const plain = await without.catch(() => undefined);
  if (plain === undefined) return undefined;
  if (!plain.is_folder) return toFileText(body.WorkingDir);
  const again = await tryOut(docker, at === 'start' ? { ...body, ...NO_PROGRAM } : body, take).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (toStatusCode(again) === undefined) return undefined;
  const advice = 'Check the command, the working directory and the user that the image sets.';
  return `The container could not be ${DONE[at]}: ${toEngineText(error)}. ${advice}`;
};

const toFileText = (workdir: string): string =>
  `The working directory ${JSON.stringify(workdir)} is a file in the image, or lies below one. Choose a folder; it is made where it is missing.`;

/** Whether the path is a folder, or could be made one. */
const canBeFolder = async (container: Docker.Container, path: string): Promise<boolean> => {
  const names = posix.resolve('/', path).split('/').filter(Boolean);
  for (let depth = 1; depth <= names.length; depth += 1) {
    const kind = await readFileKind(container, `/${names.slice(0, depth).join('/')}`);
    if (kind === 'absent' || kind === 'unseen') return true;
    if (kind !== 'directory') return false;
  }
  return true;
};
