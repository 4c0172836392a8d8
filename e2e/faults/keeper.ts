import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** Ends and removes everything of a world: at `close`, or when this process dies in whatever way. */
export interface Keeper {
  /** A process of the world's. */
  own(pid: number): void;
  /** The same, and every process in its network or mount namespace too. */
  ownSpace(pid: number): void;
  /** Throws where something could not be removed, and says what. */
  close(): Promise<void>;
}

/** `folder` is removed with everything in it. */
export const openKeeper = (folder: string): Keeper => {
  const script = fileURLToPath(new URL('keeper.mjs', import.meta.url));
  const child = spawn(process.execPath, [script, folder], { detached: true, stdio: ['pipe', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (data) => {
    said += data;
  });
  child.stdin.on('error', () => undefined);
  const ended = once(child, 'exit');
  return {
    own: (pid) => void child.stdin.write(`pid ${pid}\n`),
    ownSpace: (pid) => void child.stdin.write(`space ${pid}\n`),
    async close() {
      child.stdin.end();
      const [code] = await ended;
      if (code !== 0) throw new Error(said || `the keeper ended with ${code}`);
    },
  };
};
