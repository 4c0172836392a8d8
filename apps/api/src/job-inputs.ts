import { AppError, LOCAL_USER } from '@berth/domain';
import type { NewJob, Uploads } from '@berth/store';

/**
 * Takes the files that a job or array is about to be accepted with: from here on, until it has ended, nobody removes them. Throws AppError
 * `input_not_found`, which names each that is not there.
 */
export const takeInputs = async (
  uploads: Pick<Uploads, 'touch'>,
  { spec: { inputs = [] }, user = LOCAL_USER }: Pick<NewJob, 'spec' | 'user'>,
  needed_by: string,
): Promise<void> => {
  if (inputs.length === 0) return;
  const missing = new Set(
    await uploads.touch(
      user,
      inputs.map(({ file_id }) => file_id),
      needed_by,
    ),
  );
  if (missing.size === 0) return;
  const problems = inputs.flatMap(({ file_id }, i) =>
    missing.has(file_id) ? [{ path: `$.inputs[${i}].file_id`, message: 'is not a file of yours' }] : [],
  );
  throw new AppError(
    'input_not_found',
    'An input is not there: it was never uploaded, or it was removed. Upload it with PUT /v1/files and submit again.',
    { problems },
  );
};
