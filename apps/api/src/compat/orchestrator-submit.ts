import { AppError, findServiceFault, toServiceSpec } from '@berth/domain';
import { createJobId, type FileStore, type JobNumbers, keepReceived, type Uploads, UploadsFull } from '@berth/store';
import type { Jobs } from '../jobs.js';
import { OrchestratorError } from './orchestrator-errors.js';
import type { ServiceUpload } from './orchestrator-upload.js';

export interface SubmitOptions {
  jobs: Pick<Jobs, 'submit'>;
  numbers: JobNumbers;
  uploads: Uploads;
  files: FileStore;
  /** Of all uploads of one user. Absent: no limit. */
  uploadQuotaBytes?: number | undefined;
}

const FULL_RETRY_SECONDS = '3600';

/** Of two files of one name the last holds. */
const toLastOfEachName = ({ files }: ServiceUpload) => [
  ...new Map(files.map(({ name, sha256 }) => [name, { name, file_id: sha256 }])).values(),
];

const toRefusal = (error: unknown): unknown => {
  if (!(error instanceof UploadsFull)) return error;
  const headers = { 'retry-after': FULL_RETRY_SECONDS };
  return new OrchestratorError(429, `Could not save file: ${error.message}`, { headers });
};

/** Makes an upload a job of its user; returns its number. What is refused leaves nothing behind that the user had not before. */
export const createSubmit = ({ jobs, numbers, uploads, files, uploadQuotaBytes }: SubmitOptions) => {
  const accept = async (user: string, upload: ServiceUpload): Promise<number> => {
    const { service, user_id } = upload;
    const named = toLastOfEachName(upload);
    const job_id = createJobId(Date.now());
    const number = await numbers.give({ job_id, user });
    const invalid = findServiceFault(named);
    const request = { id: number, user_id, service: service.name, ...(invalid ? { invalid } : {}) };
    const how = { format: 'orchestrator', request, user, job_id, class: service.class?.name, never: invalid } as const;
    try {
      await jobs.submit(toServiceSpec(service, named), how);
      return number;
    } catch (error) {
      // Where Redis did not answer it may have been accepted all the same.
      if (error instanceof AppError && error.code !== 'unavailable') await numbers.drop(number);
      throw error;
    }
  };

  return async (user: string, upload: ServiceUpload): Promise<number> => {
    const keeper = { files, uploads, user, quota_bytes: uploadQuotaBytes };
    const kept = await keepReceived(keeper, upload.files).catch((error) => {
      throw toRefusal(error);
    });
    try {
      return await accept(user, upload);
    } catch (error) {
      await kept.drop().catch(() => undefined);
      throw error;
    }
  };
};
