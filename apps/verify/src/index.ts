export * from './files.js';
export type { Finding, Invariant, Report } from './report.js';
export { type VerifyOptions, verify } from './verify.js';
