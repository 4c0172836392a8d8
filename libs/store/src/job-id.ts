import { randomFillSync } from 'node:crypto';

/**
 * A UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then 74 random bits, so that ids sort by time as text. Within one
 * process ids of one millisecond count up by the 12 bits after the version, so that they keep the order of submission.
 */
export const createJobId = (now_ms: number): string => {
  counter = now_ms === lastMs ? counter + 1 : randomStart();
  lastMs = now_ms;
  const random = takeRandom(8);
  random[0] = ((random[0] ?? 0) & 0x3f) | 0x80;
  const time = now_ms.toString(16).padStart(12, '0');
  const count = (counter & 0xfff).toString(16).padStart(3, '0');
  const tail = random.toString('hex');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${count}-${tail.slice(0, 4)}-${tail.slice(4)}`;
};

/** When an id was made, in Unix milliseconds: a job was submitted then, whatever took until it was accepted. */
export const toIdTime = (id: string): number => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);

let lastMs = 0;
let counter = 0;

/** Leaves room for 2,048 ids and more in one millisecond before the order among them is lost. */
const randomStart = (): number => takeRandom(2).readUInt16LE() & 0x7ff;

/** Random bytes in stock: to ask the system for each id's own would be a large part of the cost of accepting a job. */
const stock = Buffer.alloc(4_096);
let taken = stock.length;

const takeRandom = (size: number): Buffer => {
  if (taken + size > stock.length) {
    randomFillSync(stock);
    taken = 0;
  }
  taken += size;
  return stock.subarray(taken - size, taken);
};

const LAST_MS = 2 ** 48 - 1;

/** What no id made at this time, in Unix milliseconds, comes before; and none made earlier comes after. */
export const toFirstId = (ms: number): string => {
  const time = Math.min(LAST_MS, Math.max(0, Math.ceil(ms)))
    .toString(16)
    .padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-0000-0000-000000000000`;
};

const JOB_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Whether a text has the form of a job id (any lower-case UUID). */
export const isJobId = (text: string): boolean => JOB_ID.test(text);
