// Shaka notes which segments a stored title consists of when all of them are there. A tab that is
// closed before that leaves segments which no title names, and which Shaka never removes.

import { openDB } from 'idb';

/** Shaka's own database, as of its version 5: in a later one this finds nothing to do. */
const DATABASE = 'shaka_offline_db';
const MANIFESTS = 'manifest-v5';
const SEGMENTS = 'segment-v5';

const LOCK = 'carnet storing';

interface Manifest {
  readonly streams: readonly {
    readonly segments: readonly { readonly dataKey?: unknown; readonly initSegmentKey?: unknown }[];
  }[];
}

/** Runs `work`, which stores segments that are not named yet. */
export function whileStoring<T>(work: () => Promise<T>): Promise<T> {
  return navigator.locks.request(LOCK, { mode: 'shared' }, work) as Promise<T>;
}

/** Removes segments that no title names, unless some tab is storing. */
export async function removeStrays(): Promise<void> {
  await navigator.locks.request(LOCK, { ifAvailable: true }, async (lock) => {
    const known = await indexedDB.databases();
    // To open it would make it, and not as Shaka does.
    if (!lock || !known.some(({ name }) => name === DATABASE)) return;
    const db = await openDB(DATABASE);
    try {
      const stores = [MANIFESTS, SEGMENTS];
      if (!stores.every((store) => db.objectStoreNames.contains(store))) return;
      const tx = db.transaction(stores, 'readwrite');
      const manifests = (await tx.objectStore(MANIFESTS).getAll()) as Manifest[];
      const segments = manifests.flatMap(({ streams }) => streams.flatMap((stream) => stream.segments));
      const named = new Set(segments.flatMap(({ dataKey, initSegmentKey }) => [dataKey, initSegmentKey]));
      for (const key of await tx.objectStore(SEGMENTS).getAllKeys()) {
        if (!named.has(key)) await tx.objectStore(SEGMENTS).delete(key);
      }
      await tx.done;
    } finally {
      db.close();
    }
  });
}
