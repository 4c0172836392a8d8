export * from './consumer.js';
export * from './message.js';
export * from './producer.js';
export { openQueue } from './queues.js';
