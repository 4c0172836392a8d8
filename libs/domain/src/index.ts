export * from './errors.ts';
export * from './job.ts';
export * from './job-spec.ts';
export * from './outcome.ts';
export * from './resource-class.ts';
export * from './resources.ts';
export * from './retry.ts';
