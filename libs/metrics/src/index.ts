export * from './api-metrics.js';
export * from './job-metrics.js';
export * from './worker-metrics.js';
