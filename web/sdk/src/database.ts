// What the device keeps in the browser, one database for each member who uses it. All that must be
// true together is written in one transaction: a play with its sequence number and the mark that the
// copy was started, a deletion with the release that tells of it.

import { openDB, type DBSchema, type IDBPDatabase } from 'idb';

import type { QueuedEvent, SessionEvent, Title } from './contract';
import type { ClockMark } from './clock';
import type { Identity } from './key';
import type { Jwk } from './jws';

/** A title that this device holds a license for, whether or not all of its bytes are here. */
export interface Copy {
  readonly license: string;
  readonly title: Title;
  /** The signed text; it is verified whenever it is read. */
  readonly lease: string;
  /** The DRM license, base64: with Clear Key, content keys that this page can read. */
  readonly drm: string;
  readonly content?: { readonly uri: string; readonly bytes: number };
  readonly firstPlayed?: { readonly term: number; readonly atMs: number };
  /** The server has closed the license: it is downloaded anew, or not at all. */
  readonly closed?: boolean;
  /** When a renewal was last refused, and until when asking again is of no use. */
  readonly renewalRefused?: { readonly term: number; readonly untilMs: number };
}

export type QueuedRelease = { readonly license: string; readonly title: string };

/** Single values by name. */
interface Values {
  identity: Identity;
  clock: ClockMark;
  keys: readonly Jwk[];
  catalogue: readonly Title[];
}

interface Schema extends DBSchema {
  values: { key: string; value: Values[keyof Values] | string };
  copies: { key: string; value: Copy };
  events: { key: number; value: SessionEvent & { sequence?: number } };
  releases: { key: string; value: QueuedRelease };
}

export interface Database {
  value<K extends keyof Values>(name: K): Promise<Values[K] | undefined>;
  setValue<K extends keyof Values>(name: K, value: Values[K]): Promise<void>;
  /** Changes a value in one transaction; the answer is what it is now. */
  changeValue<K extends keyof Values>(
    name: K,
    change: (kept: Values[K] | undefined) => Values[K],
  ): Promise<Values[K]>;
  /** Whoever comes first decides: two tabs that open at once get the same device. */
  identity(candidate: Identity): Promise<Identity>;
  /** The idempotency key of a request that has not been answered yet. */
  intent(what: string, candidate: string): Promise<string>;
  intentDone(what: string): Promise<void>;

  copies(): Promise<Copy[]>;
  copy(license: string): Promise<Copy | undefined>;
  /**
   * Puts a copy in the place of those of its title before it: acquiring anew has closed their
   * licenses, and their bytes are good for it. A first play under the same license stays.
   */
  takeCopy(copy: Copy): Promise<Copy>;
  /** Changes a copy in one transaction; false when it is gone. */
  changeCopy(license: string, change: (copy: Copy) => Copy): Promise<boolean>;
  /** Forgets a copy and, unless the server is known to have ended it, queues the release. */
  forgetCopy(license: string, release: boolean): Promise<void>;

  /** Queues an event under the device's next sequence number; a first play marks its copy. */
  record(event: SessionEvent, firstPlayedAtMs?: number): Promise<void>;
  oldestEvents(count: number): Promise<QueuedEvent[]>;
  removeEvents(events: readonly QueuedEvent[]): Promise<void>;
  oldestReleases(count?: number): Promise<QueuedRelease[]>;
  removeReleases(releases: readonly QueuedRelease[]): Promise<void>;
  /** How much is queued in all. */
  unsent(): Promise<number>;
  close(): void;
}

/** `lost`: the database cannot be used any more; another tab has a newer one, or it was cleared. */
export async function openDatabase(name: string, lost: () => void): Promise<Database> {
  const db = await openDB<Schema>(name, 1, {
    // A page that holds on to an old version would keep every newer page from opening.
    blocking: (_current, _wanted, event) => {
      (event.target as IDBDatabase).close();
      lost();
    },
    terminated: lost,
    upgrade(fresh) {
      fresh.createObjectStore('values');
      fresh.createObjectStore('copies', { keyPath: 'license' });
      // The browser allocates the numbers, in the transaction of the event, and never one twice.
      fresh.createObjectStore('events', { keyPath: 'sequence', autoIncrement: true });
      fresh.createObjectStore('releases', { keyPath: 'license' });
    },
  });
  return { ...values(db), ...copies(db), ...queues(db), close: () => db.close() };
}

type Db = IDBPDatabase<Schema>;
type Part<K extends keyof Database> = Pick<Database, K>;

function values(
  db: Db,
): Part<'value' | 'setValue' | 'changeValue' | 'identity' | 'intent' | 'intentDone'> {
  async function changeValue<T extends Values[keyof Values] | string>(
    name: string,
    change: (kept: T | undefined) => T,
  ): Promise<T> {
    const tx = db.transaction('values', 'readwrite', { durability: 'strict' });
    const value = change((await tx.store.get(name)) as T | undefined);
    await tx.store.put(value, name);
    await tx.done;
    return value;
  }
  return {
    value: async <K extends keyof Values>(name: K) =>
      (await db.get('values', name)) as Values[K] | undefined,
    setValue: async (name, value) => {
      await db.put('values', value, name);
    },
    changeValue,
    identity: (candidate) => changeValue<Identity>('identity', (kept) => kept ?? candidate),
    intent: (what, candidate) => changeValue<string>(`intent ${what}`, (kept) => kept ?? candidate),
    intentDone: (what) => db.delete('values', `intent ${what}`),
  };
}

function copies(db: Db): Part<'copies' | 'copy' | 'takeCopy' | 'changeCopy' | 'forgetCopy'> {
  return {
    copies: () => db.getAll('copies'),
    copy: (license) => db.get('copies', license),
    takeCopy: async (copy) => {
      const tx = db.transaction('copies', 'readwrite', { durability: 'strict' });
      const earlier = (await tx.store.getAll()).filter(({ title }) => title.id === copy.title.id);
      const content = earlier.find((old) => old.content)?.content;
      const firstPlayed = earlier.find(({ license }) => license === copy.license)?.firstPlayed;
      const taken = { ...copy, ...(content && { content }), ...(firstPlayed && { firstPlayed }) };
      await Promise.all([
        ...earlier.map(({ license }) => tx.store.delete(license)),
        tx.store.put(taken),
        tx.done,
      ]);
      return taken;
    },
    changeCopy: async (license, change) => {
      const tx = db.transaction('copies', 'readwrite');
      const copy = await tx.store.get(license);
      if (copy) await tx.store.put(change(copy));
      await tx.done;
      return copy !== undefined;
    },
    forgetCopy: async (license, release) => {
      const tx = db.transaction(['copies', 'releases'], 'readwrite', { durability: 'strict' });
      const copy = await tx.objectStore('copies').get(license);
      await tx.objectStore('copies').delete(license);
      if (copy && release) await tx.objectStore('releases').put({ license, title: copy.title.id });
      await tx.done;
    },
  };
}

function queues(
  db: Db,
): Part<
  'record' | 'oldestEvents' | 'removeEvents' | 'oldestReleases' | 'removeReleases' | 'unsent'
> {
  return {
    record: async (event, firstPlayedAtMs) => {
      const tx = db.transaction(['events', 'copies'], 'readwrite', { durability: 'strict' });
      await tx.objectStore('events').add(event);
      if (event.license !== undefined && event.term !== undefined && firstPlayedAtMs !== undefined) {
        const copy = await tx.objectStore('copies').get(event.license);
        if (copy && copy.firstPlayed?.term !== event.term) {
          const firstPlayed = { term: event.term, atMs: firstPlayedAtMs };
          await tx.objectStore('copies').put({ ...copy, firstPlayed });
        }
      }
      await tx.done;
    },
    oldestEvents: async (count) => (await db.getAll('events', undefined, count)) as QueuedEvent[],
    removeEvents: async (events) => {
      const tx = db.transaction('events', 'readwrite');
      await Promise.all([...events.map(({ sequence }) => tx.store.delete(sequence)), tx.done]);
    },
    unsent: async () => (await db.count('events')) + (await db.count('releases')),
    oldestReleases: (count) => db.getAll('releases', undefined, count),
    removeReleases: async (releases) => {
      const tx = db.transaction('releases', 'readwrite');
      await Promise.all([...releases.map(({ license }) => tx.store.delete(license)), tx.done]);
    },
  };
}
