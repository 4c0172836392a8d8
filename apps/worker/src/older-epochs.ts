import type { Claim } from '@berth/store';
import type { ContainerRuntime } from './runtime/container-runtime.js';

/** Removes what an earlier epoch of the same job left on this engine, so that never two of its containers run here. */
export const removeOlderEpochs = async (runtime: ContainerRuntime, { job_id, epoch }: Claim): Promise<void> => {
  const found = await runtime.list();
  const older = found.filter(({ labels }) => labels.job_id === job_id && labels.epoch < epoch);
  await Promise.all(older.map(({ id }) => runtime.open(id).remove()));
};
