import { type FaultCode, RuntimeFault } from '../container-runtime.js';

/** The HTTP status of an engine's refusal; undefined where no reply came at all. */
export const toStatusCode = (error: unknown): number | undefined => {
  if (!(error instanceof Error) || !('statusCode' in error)) return undefined;
  return typeof error.statusCode === 'number' ? error.statusCode : undefined;
};

/** What the engine says of it, for people: without the folders of its machine. Nothing is ever decided by it. */
export const toEngineText = (error: unknown): string => withoutFolders(toText(error).trim()).slice(0, 500);

const toText = (error: unknown): string => {
  const json = error instanceof Error && 'json' in error ? error.json : undefined;
  if (typeof json === 'object' && json !== null && 'message' in json && typeof json.message === 'string') {
    return json.message;
  }
  return error instanceof Error ? error.message.replace(/^\(HTTP code \d+\) [^-]*- /, '') : 'unknown error';
};

/** An engine keeps a container's files below a folder that is named by a hash; what follows is the path in the container. */
const withoutFolders = (text: string): string =>
  text.replace(/(?:\/[^\s/:"'`]+)*\/[0-9a-f]{32,64}(?:-init)?(?:\/(?:merged|diff|work|rootfs)(?![^\s/:"'`]))?/g, '');

type Codes = Partial<Record<number, FaultCode>>;

const READ_CODES: Codes = { 404: 'not_found' };
const CREATE_CODES: Codes = { 404: 'image_not_found', 409: 'name_taken', 413: 'start_failed' };
/** A registry that knows nothing of the image, or not for us, answers 404; a reference it cannot read, 400. */
const PULL_CODES: Codes = { 400: 'image_not_found', 404: 'image_not_found' };

const toFault =
  (codes: Codes, otherwise: FaultCode, what: string) =>
  (error: unknown): RuntimeFault => {
    if (error instanceof RuntimeFault && error.code !== 'engine_unavailable') return error;
    const status = toStatusCode(error);
    const known = status === undefined ? undefined : codes[status];
    const code = known ?? (status === undefined ? unanswered(otherwise) : otherwise);
    return new RuntimeFault(code, `${what}: ${toEngineText(error)}`, { retryable: known === undefined, cause: error });
  };

/** A pull that got no reply in time may have met a silent registry as well as a silent engine. */
const unanswered = (otherwise: FaultCode): FaultCode =>
  otherwise === 'image_pull_failed' ? otherwise : 'engine_unavailable';

export const toReadFault = toFault(READ_CODES, 'engine_unavailable', 'The container engine did not answer as expected');
export const toCreateFault = toFault(CREATE_CODES, 'engine_unavailable', 'The container could not be created');
export const toPullFault = toFault(PULL_CODES, 'image_pull_failed', 'The image could not be pulled');

/** `ignored`: the status codes that mean that there is nothing left to do. */
export const ignoring =
  (...ignored: number[]) =>
  (error: unknown): void => {
    const status = toStatusCode(error);
    if (status === undefined || !ignored.includes(status)) throw toReadFault(error);
  };
