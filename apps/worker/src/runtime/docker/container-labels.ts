import type { ContainerLabels } from '../container-runtime.js';

export const INSTALLATION_LABEL = 'berth.installation';
export const JOB_LABEL = 'berth.job';

export const toLabels = (labels: ContainerLabels): Record<string, string> => ({
  [INSTALLATION_LABEL]: labels.installation,
  [JOB_LABEL]: labels.job_id,
  'berth.epoch': String(labels.epoch),
  'berth.attempt': String(labels.attempt),
  'berth.deadline': String(labels.deadline),
});

/** Undefined where they are not what `toLabels` writes. */
export const parseLabels = (labels: Record<string, string>): ContainerLabels | undefined => {
  const installation = labels[INSTALLATION_LABEL];
  const job_id = labels[JOB_LABEL];
  const numbers = [labels['berth.epoch'], labels['berth.attempt'], labels['berth.deadline']].map(parseCount);
  const [epoch, attempt, deadline] = numbers;
  if (installation === undefined || job_id === undefined) return undefined;
  if (epoch === undefined || attempt === undefined || deadline === undefined) return undefined;
  return { installation, job_id, epoch, attempt, deadline };
};

const parseCount = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
