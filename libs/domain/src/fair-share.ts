import type { Resources } from './resources.js';

/** What was used a day ago counts half. */
export const DEFAULT_HALF_LIFE_SECONDS = 24 * 3600;

/** The largest part of the cluster that a job takes of any one resource, from 0 to 1. Resources that the cluster has none of do not count. */
export const toDominantShare = (ask: Resources, cluster: Resources): number =>
  Math.max(
    cluster.centicpus > 0 ? ask.centicpus / cluster.centicpus : 0,
    cluster.memory_mb > 0 ? ask.memory_mb / cluster.memory_mb : 0,
    cluster.gpus > 0 ? ask.gpus / cluster.gpus : 0,
  );

/**
 * A user's decayed use, as one number that needs no upkeep while it decays: log2(use) + time / half-life. Everyone's use halves in the same
 * time, so the order of two users only changes when one of them uses something. `shares.lua` computes the same.
 */
export type ShareLevel = number;

export const NO_USE: ShareLevel = Number.NEGATIVE_INFINITY;

/** `amount` is in share-milliseconds and may be negative: what was charged too much before. */
export const addUse = (level: ShareLevel, amount: number, at_ms: number, half_life_ms: number): ShareLevel => {
  const age = at_ms / half_life_ms;
  const use = (level === NO_USE ? 0 : 2 ** (level - age)) + amount;
  return use < LEAST_USE ? NO_USE : Math.log2(use) + age;
};

/** Less than this is nothing: a share-millisecond of a millionth. */
const LEAST_USE = 1e-6;

/** What is left of a user's use at a time, in share-milliseconds. */
export const toUse = (level: ShareLevel, at_ms: number, half_life_ms: number): number =>
  level === NO_USE ? 0 : 2 ** (level - at_ms / half_life_ms);

/** Users are served in the order of this, lowest first: twice the weight is entitled to twice the use. */
export const toRank = (level: ShareLevel, weight: number): number =>
  level === NO_USE ? NO_USE : level - Math.log2(weight);

/** A job whose user and class nothing is known of is taken to last so long. */
const UNKNOWN_MS = 60_000;

/** What a job is charged when it begins: its share for as long as such jobs have lasted, and no longer than it may. */
export const toCharge = (share: number, learned_ms: number | undefined, timeout_seconds: number): number =>
  share * Math.min(learned_ms ?? UNKNOWN_MS, timeout_seconds * 1_000);

/** What is added when it has ended after `held_ms`: its true use instead of what is left of that guess. */
export const toCorrection = (job: { share: number; charged: number }, held_ms: number, half_life_ms: number): number =>
  job.share * held_ms - job.charged * 2 ** (-held_ms / half_life_ms);

/** How long such jobs last, when another one has ended: a mean that follows the last few. */
export const learnDuration = (learned_ms: number | undefined, ms: number): number =>
  Math.floor((learned_ms ?? ms) + (ms - (learned_ms ?? ms)) / 8);
