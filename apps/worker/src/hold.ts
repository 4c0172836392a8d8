import type { Intent, Usage } from '@berth/domain';
import type { Claim } from '@berth/store';
import type { Container } from './runtime/container-runtime.js';

/**
 * What may be asked of a running attempt from outside, each of which ends its container. `release`: the worker was told to kill;
 * `over`: the epoch has ended without us, so that its container should not run and nothing of it may be written.
 */
export type Ask = Intent | 'release' | 'over';
type Urgent = Extract<Ask, 'release' | 'over'>;

/** Why an attempt is left as it stands, container and all: `let_go`, the worker shuts down; `moved`, another worker has it. */
export type Leave = 'let_go' | 'moved';

/** A claim in this worker's hands. The first request wins; `over` overrules all. */
export interface Hold {
  readonly claim: Claim;
  readonly request: Ask | undefined;
  /** Settles with the first request. */
  readonly requested: Promise<Ask>;
  /** Settles with the first of those that leave no time for a long grace, whatever was asked before. */
  readonly urgent: Promise<Urgent>;
  readonly leave: Leave | undefined;
  readonly left: Promise<Leave>;
  /** It ran too long: the container was seen running after its time, and the intent is recorded, or was to be. */
  timed_out: boolean;
  /** When the first signal was sent to it, in Unix milliseconds. */
  stopped_at_ms: number | undefined;
  /** Of this epoch, once there is one: what the fence pauses. */
  container: Container | undefined;
  /** What that has used, as it was seen last. */
  usage: Usage | undefined;
  ask(request: Ask): void;
  leaveIt(why: Leave): void;
  /** Stops renewing: the epoch has been settled, or left. */
  end(): void;
}

const defer = <T>() => {
  let settle: (value: T) => void = () => {};
  const promise = new Promise<T>((resolve) => {
    settle = resolve;
  });
  return { promise, settle };
};

export const createHold = (claim: Claim, isClosed: () => boolean, end: () => void): Hold => {
  const requested = defer<Ask>();
  const urgent = defer<Urgent>();
  const left = defer<Leave>();
  let request: Ask | undefined;
  let leave: Leave | undefined;
  return {
    claim,
    timed_out: false,
    stopped_at_ms: undefined,
    container: undefined,
    usage: undefined,
    requested: requested.promise,
    urgent: urgent.promise,
    left: left.promise,
    get request() {
      return request;
    },
    get leave() {
      return isClosed() ? 'moved' : leave;
    },
    ask(wish) {
      if (wish === 'release' || wish === 'over') urgent.settle(wish);
      if (request !== undefined && wish !== 'over') return;
      request = wish;
      requested.settle(wish);
    },
    leaveIt(why) {
      if (leave !== undefined && why !== 'moved') return;
      leave = why;
      left.settle(why);
    },
    end,
  };
};
