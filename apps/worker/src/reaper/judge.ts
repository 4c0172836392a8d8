import { DEADLINE_MARGIN_MS } from '@berth/domain';
import type { ContainerLabels } from '../runtime/container-runtime.js';

/** A container with Berth's labels that has begun and not ended. */
export interface Found {
  id: string;
  labels: ContainerLabels;
  paused: boolean;
}

/** What the workers of the machine have said of an installation's lease. */
export interface Fence {
  exclusive: boolean;
  lease_ms: number;
  age_ms: number;
}

export type Verdict = 'leave' | 'pause' | 'kill';

/**
 * So long before the end of the lease everything has to begin to stand still. A neighbour's lease may be older than the one that was
 * noted, by the 5 s between two renewals; and a look every 2 s, and the pausing, have to fit in.
 */
const FENCE_MARGIN_MS = 7_000;

/** `now`: unix ms. Without a fence there is only the deadline. */
export const judge = ({ labels, paused }: Found, now: number, fence?: Fence): Verdict => {
  if (now > labels.deadline * 1_000 + DEADLINE_MARGIN_MS) return 'kill';
  if (paused || fence === undefined || !fence.exclusive) return 'leave';
  return fence.age_ms > fence.lease_ms - FENCE_MARGIN_MS ? 'pause' : 'leave';
};
