import type { Logger } from 'pino';
import { pause } from './waiting.js';

const LOOK_MS = 1_000;
/** It stays shut for at least so long, also where the engine answers at once: what it refused it may refuse again. */
const SHUT_MS = 2_000;

/** Takes no jobs while the engine is away or starts no containers: each would fail for nothing. */
export interface EngineGate {
  /** The engine did not do what it was asked to. */
  failed(): void;
  /** Settles once the engine is fit again, at once where nothing has failed, or when the gate is closed. */
  passed(): Promise<void>;
  /** Called each time that the engine is back: what happened meanwhile is worth a look. */
  onBack: (() => void) | undefined;
  close(): void;
}

/** `look` says whether the engine is there and starts containers. */
export const createEngineGate = (look: () => Promise<boolean>, log: Logger): EngineGate => {
  let away: Promise<void> | undefined;
  let closed = false;
  let close: () => void = () => {};
  const closing = new Promise<void>((resolve) => {
    close = resolve;
  });
  const untilBack = async (): Promise<void> => {
    log.warn('the engine is away, or starts no containers; no more jobs are taken until it does');
    await Promise.race([pause(SHUT_MS), closing]);
    while (!closed) {
      if (await look().catch(() => false)) break;
      await pause(LOOK_MS);
    }
    away = undefined;
    if (closed) return;
    log.info('the engine is back');
    gate.onBack?.();
  };
  const gate: EngineGate = {
    onBack: undefined,
    failed() {
      if (!closed) away ??= untilBack();
    },
    passed: () => Promise.race([away ?? Promise.resolve(), closing]),
    close() {
      closed = true;
      close();
    },
  };
  return gate;
};
