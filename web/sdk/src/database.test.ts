// The real database code on an IndexedDB that lives in memory.

import 'fake-indexeddb/auto';
import { beforeEach, expect, it } from 'vitest';

import type { SessionEvent, Title } from './contract';
import { openDatabase, type Copy, type Database } from './database';
import { createIdentity } from './key';

const title = { id: 'film', name: 'Film' } as Title;
const copy: Copy = { license: 'l1', title, lease: 'x.y.z', drm: 'e30=' };
const event = (type: SessionEvent['type']): SessionEvent => ({
  session: 's',
  title: 'film',
  license: 'l1',
  term: 1,
  type,
  device_at: '2026-01-01T00:00:00.000Z',
});

let name = 0;
let db: Database;
beforeEach(async () => {
  db = await openDatabase(`test ${++name}`, () => undefined);
});

it('numbers events by one, and never one number twice', async () => {
  await Promise.all([db.record(event('start')), db.record(event('pause')), db.record(event('stop'))]);
  const told = await db.oldestEvents(10);
  expect(told.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
  await db.removeEvents(told);
  await db.record(event('start'));
  expect((await db.oldestEvents(10)).map(({ sequence }) => sequence)).toEqual([4]);
});

it('goes on numbering after a reload and from two tabs', async () => {
  await db.record(event('start'));
  const other = await openDatabase(`test ${name}`, () => undefined);
  await Promise.all([db.record(event('pause')), other.record(event('resume'))]);
  expect((await other.oldestEvents(10)).map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
});

it('marks the first play of a term together with its event, and only the first', async () => {
  await db.takeCopy(copy);
  await db.record(event('start'), 100);
  await db.record(event('start'), 200);
  expect((await db.copy('l1'))?.firstPlayed).toEqual({ term: 1, atMs: 100 });
  await db.record({ ...event('start'), term: 2 }, 300);
  expect((await db.copy('l1'))?.firstPlayed).toEqual({ term: 2, atMs: 300 });
});

it('deletes a copy and queues its release in one step, once', async () => {
  await db.takeCopy(copy);
  await db.forgetCopy('l1', true);
  await db.forgetCopy('l1', true);
  expect(await db.copies()).toEqual([]);
  expect(await db.oldestReleases(10)).toEqual([{ license: 'l1', title: 'film' }]);
  expect(await db.unsent()).toBe(1);
});

it('takes a copy in the place of those of its title, with their bytes, and with the play of its own', async () => {
  const content = { uri: 'offline:1', bytes: 7 };
  await db.takeCopy({ ...copy, content });
  await db.record(event('start'), 100);
  const again = { ...copy, lease: 'new' };
  expect(await db.takeCopy(again)).toEqual({ ...again, content, firstPlayed: { term: 1, atMs: 100 } });
  const anew = { ...copy, license: 'l2' };
  expect(await db.takeCopy(anew)).toEqual({ ...anew, content });
  expect(await db.copies()).toEqual([{ ...anew, content }]);
});

it('lets go when another tab needs a newer one, and says so', async () => {
  let lost = 0;
  await openDatabase(`held ${name}`, () => lost++);
  await new Promise((done, failed) => {
    const newer = indexedDB.open(`held ${name}`, 2);
    newer.onsuccess = done;
    newer.onblocked = failed;
  });
  expect(lost).toBe(1);
});

it('does not bring back a copy that was deleted meanwhile', async () => {
  await db.changeCopy('l1', (kept) => ({ ...kept, lease: 'new' }));
  expect(await db.copy('l1')).toBeUndefined();
});

it('gives two tabs that open at once the same device, with a key that cannot leave', async () => {
  const [one, two] = await Promise.all([
    createIdentity().then((identity) => db.identity(identity)),
    createIdentity().then((identity) => db.identity(identity)),
  ]);
  expect(one.device).toBe(two.device);
  await expect(crypto.subtle.exportKey('jwk', one.keys.privateKey)).rejects.toThrow();
});

it('asks again under the same idempotency key until there was an answer', async () => {
  expect(await db.intent('acquire film', 'a')).toBe('a');
  expect(await db.intent('acquire film', 'b')).toBe('a');
  await db.intentDone('acquire film');
  expect(await db.intent('acquire film', 'c')).toBe('c');
});
