import { parentPort } from 'node:worker_threads';
import { type Seeds, searchSeeds } from './many-seeds.js';

parentPort?.on('message', (seeds: Seeds) => parentPort?.postMessage(searchSeeds(seeds)));
