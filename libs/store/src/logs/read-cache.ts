interface ReadCacheOptions<T> {
  /** What is kept together, in the measure of `toSize`; what was used last stays longest. */
  most: number;
  toSize: (value: T) => number;
  /** What is of no use for the next one is not kept. */
  isLasting: (value: T) => boolean;
}

/** Remembers what was read, for all who read the same: what is being read is read once, and what does not change is kept for a while. */
export const createReadCache = <T>({ most, toSize, isLasting }: ReadCacheOptions<T>) => {
  const reading = new Map<string, Promise<T>>();
  /** In the order of last use. */
  const kept = new Map<string, { value: T; size: number }>();
  let size = 0;

  const drop = (key: string): void => {
    size -= kept.get(key)?.size ?? 0;
    kept.delete(key);
  };
  const keep = (key: string, value: T): void => {
    drop(key);
    kept.set(key, { value, size: toSize(value) });
    size += toSize(value);
    for (const oldest of kept.keys()) {
      if (size <= most) break;
      drop(oldest);
    }
  };
  return async (key: string, read: () => Promise<T>): Promise<T> => {
    const known = kept.get(key);
    if (known) {
      kept.delete(key);
      kept.set(key, known);
      return known.value;
    }
    const others = reading.get(key);
    if (others !== undefined) return others;
    const own = read().finally(() => reading.delete(key));
    reading.set(key, own);
    const value = await own;
    if (isLasting(value)) keep(key, value);
    return value;
  };
};
