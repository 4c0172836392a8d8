import type { BoardNote, Message } from '@berth/queue';

/** The parts of a BullMQ job that a row is made of. They come out of Redis as they went in, so each is checked again. */
export interface BoardJob {
  name: string;
  data: unknown;
  returnvalue?: unknown;
  progress?: unknown;
}

/** C0, DEL, C1, and the marks that turn the direction of writing: they could make a row read as what it is not. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose
const INVISIBLE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]+/g;

const toPlain = (value: unknown): string => (typeof value === 'string' ? value.replace(INVISIBLE, ' ') : '');

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

const toMessageFields = (data: unknown): Message => {
  const { job_id, image, command }: Record<string, unknown> = isRecord(data) ? data : {};
  return { job_id: toPlain(job_id), image: toPlain(image), command: toPlain(command) };
};

const findNote = ({ returnvalue, progress }: BoardJob): BoardNote | undefined => {
  const found = [returnvalue, progress].filter(isRecord).find(({ state, node }) => state && node);
  const state = toPlain(found?.state);
  const node = toPlain(found?.node);
  if (!found || !state || !node) return undefined;
  return {
    state,
    node,
    cause: toPlain(found.cause) || null,
    exit_code: typeof found.exit_code === 'number' ? found.exit_code : null,
  };
};

const toOutcome = ({ state, cause, exit_code }: BoardNote): string => {
  if (state === 'completed' || cause === state) return state;
  if (cause !== null && cause !== 'exit_code') return `${state}, ${cause.replaceAll('_', ' ')}`;
  return exit_code === null ? state : `${state}, exit code ${exit_code}`;
};

/** `name · image · command`, and how it ended and on which node once it has. One line of plain text. */
export const toRowTitle = (job: BoardJob): string => {
  const { image, command } = toMessageFields(job.data);
  const name = toPlain(job.name);
  const note = findNote(job);
  const parts = [name === command ? '' : name, image, command, note ? `${toOutcome(note)}, on ${note.node}` : ''];
  return parts.filter((part) => part !== '').join(' · ');
};

/** The message as it is shown, field by field. */
export const toShownData = (data: unknown): Message => toMessageFields(data);

/** Where the job's own page is. */
export const toJobPath = (data: unknown): string => `/v1/jobs/${encodeURIComponent(toMessageFields(data).job_id)}`;
