export * from './errors.js';
export * from './job.js';
export * from './job-spec.js';
export * from './outcome.js';
export * from './resource-class.js';
export * from './resources.js';
export * from './retry.js';
