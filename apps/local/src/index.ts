export { type Broker, type BrokerOptions, openBroker } from './broker.js';
export { type Config, loadConfig, parseConfig } from './config.js';
export { openDocker } from './docker-client.js';
export { type Engine, type EngineOptions, openEngine } from './engine.js';
export { ensureImage, type ImageOptions } from './image.js';
export { LocalError } from './local-error.js';
export { openMemoryRedis } from './memory-redis.js';
export { openPostgres, type Postgres } from './postgres.js';
