// Runs a TypeScript program of this folder: `node e2e/run.mjs soak/main.ts --minutes 2`. Packages are those that were built last.
import { join } from 'node:path';
import { createViteServer } from 'vitest/node';

const root = import.meta.dirname;
const [program] = process.argv.splice(2, 1);
const server = await createViteServer({
  root,
  configFile: false,
  appType: 'custom',
  logLevel: 'error',
  server: { middlewareMode: true, hmr: false, ws: false, watch: null },
  optimizeDeps: { noDiscovery: true },
  ssr: { external: ['@berth/local', '@berth/store', '@berth/verify'] },
});
await server.ssrLoadModule(join(root, program));
await server.close();
