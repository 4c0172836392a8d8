import { type JobSpec, jobSpecSchema } from '@berth/domain';
import type {
  Adoption,
  Claim,
  Claims,
  LeaseState,
  LogBatch,
  LogOwner,
  LogPiece,
  LogStore,
  Settlement,
  SettleReply,
  StoredPosition,
} from '@berth/store';
import { type Logger, pino } from 'pino';
import { vi } from 'vitest';

export const toSpec = (fields: Record<string, unknown> = {}): JobSpec => {
  const spec = jobSpecSchema.parse({ command: ['true'], ...fields });
  return { ...spec, image: spec.image ?? 'busybox:stable' };
};

export const toClaim = (fields: Partial<Claim> = {}, spec: Record<string, unknown> = {}): Claim => ({
  job_id: 'job-1',
  epoch: 1,
  owner: 'worker-1',
  attempt: 1,
  class: 'small',
  user: 'local',
  spec: toSpec(spec),
  format: 'v1',
  gpu_uuids: [],
  ...fields,
});

export const toAdoption = (fields: Partial<Adoption> = {}, claim: Claim = toClaim()): Adoption => ({
  claim,
  doomed: false,
  ran_ms: 0,
  image_digest: null,
  intent: undefined,
  ...fields,
});

/** A promise and what settles it. */
export const defer = <T = void>() => {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
};

/** A logger whose lines are kept: level (30 info, 40 warn, 50 error, 60 fatal) and message. */
export const createLogBook = (): {
  log: Logger;
  lines: { level: number; msg: string }[];
  find(text: string): number;
} => {
  const lines: { level: number; msg: string }[] = [];
  const log = pino({ level: 'trace' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  return { log, lines, find: (text) => lines.filter((line) => line.msg.includes(text)).length };
};

export interface FakeClaims {
  claims: Claims;
  /** The calls in order, `settle` with what it was told. */
  calls: string[];
  settlements: Settlement[];
}

const STATES: Record<Settlement['type'], SettleReply & { kind: 'settled' }> = {
  completed: { kind: 'settled', state: 'completed' },
  failed: { kind: 'settled', state: 'failed' },
  cancelled: { kind: 'settled', state: 'cancelled' },
  retried: { kind: 'settled', state: 'pending' },
  released: { kind: 'settled', state: 'pending' },
  lost: { kind: 'settled', state: 'pending' },
};

/** A record that agrees with everything, but for what is overridden. */
export const createFakeClaims = (overrides: Partial<Claims> = {}): FakeClaims => {
  const calls: string[] = [];
  const settlements: Settlement[] = [];
  const claims: Claims = {
    draw: vi.fn(async () => ({ kind: 'gone' as const, state: '' })),
    claim: vi.fn(async () => ({ kind: 'gone' as const, state: 'missing' })),
    start: async () => {
      calls.push('start');
      return 'started';
    },
    intend: async (_claim, intent) => {
      calls.push(`intend ${intent}`);
      return intent;
    },
    settle: async (_claim, settlement) => {
      calls.push(`settle ${settlement.type}`);
      settlements.push(settlement);
      return STATES[settlement.type];
    },
    renew: async (held) => held.map((): LeaseState => 'held'),
    noteUsage: async (samples) => samples.length,
    expire: async () => [],
    ...overrides,
  };
  return { claims, calls, settlements };
};

export interface FakeLogs {
  logs: LogStore;
  pieces: LogPiece[];
  lines: string[];
  /** What was stored of a stream, notes included where they are asked for. */
  textOf(...streams: LogPiece['stream'][]): string;
}

const toPosition = (pieces: LogPiece[]): StoredPosition => {
  const of = (stream: LogPiece['stream']) => {
    const bytes = Buffer.concat(pieces.filter((piece) => piece.stream === stream).map((piece) => piece.bytes));
    return { bytes: bytes.length, tail: bytes.subarray(-1024) };
  };
  return { stdout: of('stdout'), stderr: of('stderr'), pieces: pieces.length, complete: false, unsealed_bytes: 0 };
};

export const createFakeLogs = (overrides: Partial<LogStore> = {}): FakeLogs => {
  const pieces: LogPiece[] = [];
  const lines: string[] = [];
  const logs = {
    append: async (_claim: LogOwner, batch: LogBatch) => {
      pieces.push(...batch.pieces);
      lines.push(...(batch.lines ?? []));
      return 'stored';
    },
    beginAnew: async () => 'stored',
    seal: async () => ({ kind: 'empty' }),
    readPosition: async () => toPosition(pieces),
    ...overrides,
  } as unknown as LogStore;
  return {
    logs,
    pieces,
    lines,
    textOf: (...streams) =>
      Buffer.concat(pieces.filter((p) => streams.includes(p.stream)).map((p) => p.bytes)).toString(),
  };
};
