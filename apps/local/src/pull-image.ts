import type { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { reasonOf } from './local-error.js';

const usual_answer_ms = 10_000;
const silence_ms = 60_000;

export const imageIsHere = async (docker: Docker, image: string): Promise<boolean> => {
  try {
    await docker.getImage(image).inspect();
    return true;
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode === 404) return false;
    throw error;
  }
};

export interface PullOptions {
  say: (line: string) => void;
  /** How long a registry may take to answer; 10 s unless given. */
  answer_ms?: number;
}

/**
 * True where the image is here or was pulled. False where no registry answers in time, where one falls silent for a
 * minute half-way, or where none has it.
 */
export const pullImage = async (docker: Docker, image: string, options: PullOptions): Promise<boolean> => {
  const { say, answer_ms = usual_answer_ms } = options;
  if (await imageIsHere(docker, image)) return true;
  say(`Pulling ${image} …`);
  const patience = new AbortController();
  let timer = setTimeout(() => patience.abort(), answer_ms);
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => patience.abort(), silence_ms);
  };
  try {
    const progress = (await docker.pull(image, { abortSignal: patience.signal })) as Readable;
    await readToEnd(docker, progress, heard);
    return true;
  } catch (error) {
    const reason = patience.signal.aborted ? 'no image registry answered in time' : reasonOf(error);
    say(`${image} could not be pulled: ${reason}`);
    return false;
  } finally {
    clearTimeout(timer);
  }
};

/** Rejects when a line of the engine's progress is an error. */
export const readToEnd = (docker: Docker, progress: Readable, onLine: () => void = () => {}): Promise<void> =>
  new Promise((resolve, reject) => {
    let failure: Error | undefined;
    const done = (error: Error | null) => (error || failure ? reject(error ?? failure) : resolve());
    docker.modem.followProgress(progress, done, (line: { error?: string }) => {
      onLine();
      if (line.error) failure = new Error(line.error);
    });
  });
