import { isFromOtherSite, isRelativePath, OTHER_SITE, type Service } from '@berth/domain';
import { type FileStore, FormError, FormTooLarge, type ReceivedForm, receiveForm } from '@berth/store';
import type { Context } from 'hono';
import { readUpload } from '../upload-body.js';
import { OrchestratorError } from './orchestrator-errors.js';

const MAX_BYTES = 400 * 1024 * 1024;
/** As many as a job may take in. */
const MAX_FILES = 1_000;

/** What somebody uploaded: checked, and its files in the store. */
export interface ServiceUpload extends Pick<ReceivedForm, 'files'> {
  user_id: number;
  service: Service;
}

const refuse = (message: string): OrchestratorError => new OrchestratorError(400, message);

const parseUserId = (text: string): number => {
  const user_id = /^[+-]?\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if ((user_id | 0) !== user_id) throw refuse('Invalid user_id, should be a number');
  return user_id;
};

export const refuseOtherSites = (c: Context): void => {
  if (isFromOtherSite((name) => c.req.header(name))) throw new OrchestratorError(403, OTHER_SITE);
};

const toRefusal = (error: unknown): unknown => {
  if (error instanceof FormTooLarge) {
    return refuse(`Could not save file: Chunk read failed: the upload is larger than ${MAX_BYTES / 1024 / 1024} MiB`);
  }
  if (!(error instanceof FormError)) return error;
  if (error.part === 'field') return refuse(`Error reading text field: ${error.message}`);
  return refuse(error.part === 'file' ? `Could not save file: ${error.message}` : `Multipart error: ${error.message}`);
};

const checkName = (name: string): void => {
  if (!isRelativePath(name)) throw refuse('Could not save file: its name cannot be a file name');
};

/**
 * The parts may come in any order. What is wrong is said as soon as it is seen, and in any case before anything is in an index. Throws
 * OrchestratorError, or what the store says; then nothing that came is left.
 */
export const receiveUpload = async (
  c: Context,
  files: FileStore,
  services: ReadonlyMap<string, Service>,
): Promise<ServiceUpload> => {
  const findService = (name: string): Service => {
    const service = services.get(name);
    if (!service) throw refuse('Invalid service');
    return service;
  };
  const check = (name: string, value: string): void => {
    if (name === 'user_id') parseUserId(value);
    if (name === 'service') findService(value);
  };
  const onEnd = ({ fields }: Pick<ReceivedForm, 'fields'>) => {
    const [user_id, service] = [fields.get('user_id'), fields.get('service')];
    if (user_id === undefined) throw refuse('Missing user_id field');
    if (service === undefined) throw refuse('Missing service field');
    return { user_id: parseUserId(user_id), service: findService(service) };
  };
  const source = { headers: c.req.header(), body: readUpload(c) };
  const options = { files, max_bytes: MAX_BYTES, max_files: MAX_FILES, onField: check, onFile: checkName, onEnd };
  try {
    const { result, files: received } = await receiveForm(source, options);
    return { ...result, files: received };
  } catch (error) {
    throw toRefusal(error);
  }
};
