export * from './consumer.js';
export * from './message.js';
export * from './producer.js';
export { openQueue } from './queues.js';
export * from './schedule-timing.js';
export * from './scheduler.js';
