import { type FileStore, type Listing, readListing } from '@berth/store';

/** So many are kept, and so many files in all: whoever fetches ten thousand files one by one asks for one manifest as often. */
const KEPT = 32;
const KEPT_FILES = 200_000;

/** Reads manifests by the names of their objects, and keeps the last ones: they never change. */
export const createManifests = (files: FileStore) => {
  const kept = new Map<string, Listing>();
  const reading = new Map<string, Promise<Listing>>();

  const keep = (name: string, listing: Listing): void => {
    kept.delete(name);
    kept.set(name, listing);
    let total = [...kept.values()].reduce((sum, { packed }) => sum + packed.length, 0);
    for (const [oldest, { packed }] of kept) {
      if (oldest === name || (kept.size <= KEPT && total <= KEPT_FILES)) return;
      kept.delete(oldest);
      total -= packed.length;
    }
  };

  return {
    /** Rejects with FileMissing where it is gone. */
    async read(name: string): Promise<Listing> {
      const found = kept.get(name);
      if (found) {
        keep(name, found);
        return found;
      }
      const read = reading.get(name) ?? readListing(files, name).finally(() => reading.delete(name));
      reading.set(name, read);
      const listing = await read;
      keep(name, listing);
      return listing;
    },
  };
};
