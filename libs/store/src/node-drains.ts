import type { Redis } from 'ioredis';
import type { Keys } from './keys.js';
import type { Node, WorkerRegistry } from './worker-registry.js';

/** Workers of one engine may go by several names: they are one machine. */
const toNames = (node: Node): string[] => [...new Set(node.workers.map((beat) => beat.node))];

/** Which machines take no more jobs, by the name of a node. Claims look at it in the same script that would give them a job. */
export const createNodeDrains = (redis: Redis, keys: Keys, workers: Pick<WorkerRegistry, 'readNodes'>) => {
  const find = async (name: string): Promise<Node[]> =>
    (await workers.readNodes()).filter((node) => toNames(node).includes(name));

  return {
    /** From now on the machine takes no more jobs; what runs there goes on. False where there is no such node. */
    async drain(name: string): Promise<boolean> {
      const found = await find(name);
      if (found.length > 0) await redis.sadd(keys.drained, ...found.flatMap(toNames));
      return found.length > 0;
    },

    /** The machine takes jobs again, at once. A drained one that has not been heard of for long may be resumed too. */
    async resume(name: string): Promise<boolean> {
      const found = await find(name);
      const removed = await redis.srem(keys.drained, name, ...found.flatMap(toNames));
      for (const { engine } of found) await redis.publish(keys.engineChannel(engine), 'room');
      return found.length > 0 || removed > 0;
    },
  };
};

export type NodeDrains = ReturnType<typeof createNodeDrains>;
