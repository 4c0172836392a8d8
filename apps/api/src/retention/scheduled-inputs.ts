import { inputsSchema } from '@berth/domain';
import type { Store } from '@berth/store';

/** A schedule's next time may be longer off than an unused upload is kept: what its job takes in counts as just used. */
export const touchScheduled = async ({ schedules, uploads }: Pick<Store, 'schedules' | 'uploads'>): Promise<void> => {
  for (const { user, job } of await schedules.list()) {
    const { data = [] } = inputsSchema.safeParse(job.inputs);
    // One by one: of several none is touched where one is missing.
    for (const { file_id } of data) await uploads.touch(user, [file_id]);
  }
};
