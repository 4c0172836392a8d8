import type { Held } from '@berth/store';
import type { ContainerRuntime, ContainerSummary } from './runtime/container-runtime.js';

/** Removes what an earlier epoch of the same job left on this engine, so that never two of its containers run here. */
export const removeOlderEpochs = async (runtime: ContainerRuntime, { job_id, epoch }: Held): Promise<void> => {
  const found = await runtime.list(job_id);
  const older = found.filter(({ labels }) => labels.epoch < epoch);
  await Promise.all(older.map(({ id }) => runtime.open(id).remove()));
};

/** The container of the epoch on this engine, in whatever state. */
export const findOwnContainer = async (
  runtime: ContainerRuntime,
  { job_id, epoch }: Held,
): Promise<ContainerSummary | undefined> => (await runtime.list(job_id)).find(({ labels }) => labels.epoch === epoch);

/** Whether the engine is there at all. */
export const isAnswering = (runtime: ContainerRuntime): Promise<boolean> =>
  runtime.list('none').then(
    () => true,
    () => false,
  );
