import { defineConfig } from 'vitest/config';

const source = (path: string) => new URL(path, import.meta.url).pathname;

/** Tests run the sources, not the last build. */
const alias = {
  '@berth/domain': source('./libs/domain/src/index.ts'),
  '@berth/store': source('./libs/store/src/index.ts'),
  '@berth/history': source('./libs/history/src/index.ts'),
  '@berth/queue': source('./libs/queue/src/index.ts'),
  '@berth/metrics': source('./libs/metrics/src/index.ts'),
  '@berth/local': source('./apps/local/src/index.ts'),
  '@berth/verify': source('./apps/verify/src/index.ts'),
};

export default defineConfig({
  resolve: { alias },
  test: {
    // No process of its own for each file: what a file opens it opens under a name of its own, and the sources are loaded once.
    isolate: false,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          pool: 'threads',
          include: ['{libs,apps}/*/src/**/*.test.ts', 'simulation/src/**/*.test.ts'],
          testTimeout: 60_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'integration',
          include: ['{libs,apps}/*/test/**/*.test.ts', 'simulation/test/**/*.test.ts'],
          globalSetup: ['./e2e/global-setup.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          // Much of it waits for an engine or a broker. Vitest runs one file at a time on two CPUs unless it is told.
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['e2e/{scenarios,hostile}/**/*.test.ts'],
          globalSetup: ['./e2e/global-setup.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: 'faults',
          include: ['e2e/faults/**/*.test.ts'],
          globalSetup: ['./e2e/global-setup.ts'],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          // Each has a world of its own, and most of its time is waiting.
          maxWorkers: 2,
          // After all others: what takes part in a race here should not have to race them too.
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
