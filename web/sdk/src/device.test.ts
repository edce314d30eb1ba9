// Core, database, outbox and leases together, against a server that is a function: what happens to
// the network is written down here, step by step.

import 'fake-indexeddb/auto';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import { toBase64Url, utf8 } from './bytes';
import type { Title } from './contract';
import { openCore, type Core, type Notice, type Surroundings } from './core';
import { openDatabase } from './database';
import { perform } from './device';
import { download, listDownloads, sweep } from './downloads';
import { LEASE_TYP } from './lease';
import type { Media } from './media';
import { play, type PlayOptions } from './playback';
import { keepLease, renew } from './renewal';
import { remove, sync } from './sync';

const HOUR = 3_600_000;
const START = Date.UTC(2026, 0, 1);
const film = { id: 'film', name: 'Film', runtime_seconds: 30, images: {} } as unknown as Title;

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body: Record<string, unknown>;
  readonly key: string | null;
}
/** A text is answered as it is: somebody's page. */
type Reply = { status?: number; body: unknown } | 'lost';

let signer: CryptoKeyPair;
let jwks: { keys: unknown[] };
beforeAll(async () => {
  signer = (await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])) as CryptoKeyPair;
  const jwk = await crypto.subtle.exportKey('jwk', signer.publicKey);
  jwks = { keys: [{ kty: jwk.kty, crv: jwk.crv, x: jwk.x, kid: 'k1' }] };
});

let now: number;
let asked: Asked[];
/** Answers by path; what is not here is not reachable. */
let server: Record<string, (asked: Asked) => Reply | Promise<Reply>>;
let core: Core;
let notices: Notice[];
let stored: Awaited<ReturnType<Media['store']>>;
let listed: Awaited<ReturnType<Media['list']>>;
let removed: string[];
let unloaded: number;
let tabs: LockManager;
let name = 0;

const media: Media = {
  store: async ({ signal }) => (signal?.aborted ? { kind: 'cancelled' } : stored),
  remove: async (uri) => void removed.push(uri),
  list: async () => listed,
  removeStrays: async () => undefined,
  load: async () => ({ unload: async () => void unloaded++ }),
};

async function around(): Promise<Surroundings> {
  return {
    base: 'https://carnet.example',
    member: 'ana',
    deviceName: 'a browser',
    database: await openDatabase(`device test ${name}`, () => undefined),
    media,
    token: async () => 'token',
    reading: () => ({ deviceMs: now, steadyMs: now }),
    random: () => 0.5,
    locks: tabs,
    syncEveryMs: HOUR,
    fetch: async (input, init) => {
      const { pathname: path } = new URL(String(input));
      const headers = new Headers(init?.headers);
      const body = JSON.parse(String(init?.body ?? '{}')) as Record<string, unknown>;
      const ask = { method: init?.method ?? 'GET', path, body, key: headers.get('idempotency-key') };
      asked.push(ask);
      const route = Object.keys(server).find((pattern) => new RegExp(`${pattern}$`).test(path));
      const reply = route === undefined ? 'lost' : await server[route]?.(ask);
      if (reply === undefined || reply === 'lost') throw new TypeError('fetch failed');
      const text = typeof reply.body === 'string' ? reply.body : JSON.stringify(reply.body);
      return new Response(text, { status: reply.status ?? 200 });
    },
  };
}

/** One at a time by name, as Web Locks are; Node 20 has none. */
function locks(): LockManager {
  const held = new Map<string, Promise<unknown>>();
  return {
    request: async (lock: string, options: LockOptions | (() => unknown), work?: (lock: Lock | null) => unknown) => {
      const { ifAvailable = false } = typeof options === 'function' ? {} : options;
      const run = (typeof options === 'function' ? options : work) as (lock: Lock | null) => unknown;
      if (ifAvailable && held.has(lock)) return run(null);
      while (held.has(lock)) await held.get(lock);
      const running = Promise.resolve(run({ name: lock, mode: 'exclusive' }));
      held.set(lock, running.catch(() => undefined));
      return running.finally(() => held.delete(lock));
    },
    query: async () => ({}),
  } as unknown as LockManager;
}

async function lease(changes: Record<string, unknown> = {}): Promise<string> {
  const at = (ms: number): string => new Date(ms).toISOString();
  const claims = {
    iss: 'urn:test',
    lease_version: 1,
    license: 'l1',
    member: 'ana',
    device: core.device,
    device_key: core.key.thumbprint,
    title: 'film',
    term: 1,
    issued_at: at(now),
    started_at: at(START),
    start_by: at(START + 48 * HOUR),
    finish_within_ms: 10 * HOUR,
    grace_ms: 0,
    running_play_ms: 0,
    renew_from: at(START + 40 * HOUR),
    ...changes,
  };
  const part = (value: unknown): string => toBase64Url(utf8(JSON.stringify(value)));
  const signed = `${part({ alg: 'Ed25519', typ: LEASE_TYP, kid: 'k1' })}.${part(claims)}`;
  const signature = await crypto.subtle.sign('Ed25519', signer.privateKey, utf8(signed));
  return `${signed}.${toBase64Url(new Uint8Array(signature))}`;
}

const refused = (code: string): Reply => ({ status: 403, body: { title: 'no', status: 403, code } });
const ok = (body: unknown = {}): Reply => ({ body });
const paths = (): string[] => asked.map(({ path }) => path);
const licenseAnswer = async (changes: Record<string, unknown> = {}): Promise<Reply> => ({
  status: 201,
  body: {
    decision: { outcome: 'acquired', repeated: false },
    license: { id: 'l1' },
    lease: await lease(changes),
    drm: { system: 'org.w3.clearkey', body: 'e30=' },
    caps: [
      { rule: 'yearly', message: '1 more download before 3 March.', warns: true },
      { rule: 'at-a-time', message: '11 more at a time.', warns: false },
    ],
  },
});
const given = { kind: 'ok', value: { warnings: ['1 more download before 3 March.'] } };

beforeEach(async () => {
  name++;
  now = START;
  asked = [];
  removed = [];
  listed = [];
  unloaded = 0;
  tabs = locks();
  notices = [];
  stored = { kind: 'stored', uri: 'offline:1', bytes: 7 };
  server = {
    'jwks.json': () => ok(jwks),
    'playback-context': () =>
      ok({ title: film, streams: { dash: '/m.mpd' }, key_ids: { video: '00'.repeat(16) }, drm: [] }),
    '/v1/licenses': () => licenseAnswer(),
    'check-in': ({ body }) => {
      const holdings = body['holdings'] as { license: string }[];
      return ok({ leases: [], ended: [], lapsed: [], holdings });
    },
    'session-events': () => ok(),
    '/release': () => ok(),
  };
  core = await openCore(await around());
  core.onNotice((notice) => notices.push(notice));
});

const take = (signal?: AbortSignal) => download(core, new Map(), 'film', { ...(signal && { signal }) });
const copies = () => listDownloads(core, new Map());
const record = (type: 'start' | 'stop' = 'start') =>
  core.db.record(
    { session: 's', title: 'film', license: 'l1', term: 1, type, device_at: new Date(now).toISOString() },
    core.nowMs(),
  );

describe('downloading', () => {
  it('asks for the license before the bytes, and takes no bytes when it is refused', async () => {
    server['/v1/licenses'] = () => refused('cap_reached');
    expect(await take()).toMatchObject({ kind: 'problem' });
    expect(await copies()).toEqual([]);
  });

  it('repeats a lost answer under the same key, and uses a new one for the next download', async () => {
    for (const nothing of ['lost', { status: 503, body: {} }] as const) {
      server['/v1/licenses'] = () => nothing;
      expect(await take()).toMatchObject({ kind: 'unreachable' });
    }
    server['/v1/licenses'] = () => licenseAnswer();
    expect(await take()).toEqual(given);
    await remove(core, 'l1');
    expect(await take()).toEqual(given);
    const keys = asked.filter(({ path }) => path === '/v1/licenses').map(({ key }) => key);
    expect(new Set(keys.slice(0, 3)).size).toBe(1);
    expect(keys[3]).not.toBe(keys[2]);
  });

  it('registers the device when the server does not know it, and asks again', async () => {
    let known = false;
    server['/v1/devices'] = () => ((known = true), ok());
    server['/v1/licenses'] = () => (known ? licenseAnswer() : refused('device_unknown'));
    expect(await take()).toEqual(given);
  });

  it.each([
    ['there is no space left', { kind: 'no_space' as const }],
    ['it was cancelled', { kind: 'cancelled' as const }],
    ['the media cannot be stored', { kind: 'failed' as const, message: 'x' }],
  ])('gives the license back when %s', async (_why, failure) => {
    stored = failure;
    expect(await take()).toMatchObject({ kind: 'failed' });
    expect(await copies()).toEqual([]);
    expect(paths()).toContain('/v1/licenses/l1/release');
  });

  it('keeps the license when only the connection broke', async () => {
    stored = { kind: 'unreachable' };
    expect(await take()).toMatchObject({ kind: 'unreachable' });
    expect(await copies()).toMatchObject([{ license: 'l1', state: 'incomplete' }]);
    expect(await core.db.unsent()).toBe(0);
  });

  it('gives the license back when it was cancelled while it was asked for', async () => {
    const cancel = new AbortController();
    server['/v1/licenses'] = () => (cancel.abort(), licenseAnswer());
    expect(await take(cancel.signal)).toMatchObject({ kind: 'failed', reason: 'cancelled' });
    expect(await copies()).toEqual([]);
    expect(paths()).toContain('/v1/licenses/l1/release');
  });

  it('leaves no bytes of a copy that was deleted while they came', async () => {
    const store = vi.spyOn(media, 'store').mockImplementationOnce(async () => {
      await core.db.forgetCopy('l1', true);
      return stored;
    });
    expect(await take()).toMatchObject({ kind: 'failed', reason: 'cancelled' });
    expect(removed).toEqual(['offline:1']);
    store.mockRestore();
  });

  it('is not held up by events that the server does not take', async () => {
    await record();
    server['session-events'] = () => refused('device_mismatch');
    expect(await take()).toEqual(given);
    expect(await core.db.unsent()).toBe(1);
  });

  it('does not take a lease that somebody else has signed', async () => {
    const other = (await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])) as CryptoKeyPair;
    const real = signer;
    signer = other;
    const forged = await licenseAnswer();
    signer = real;
    server['/v1/licenses'] = () => forged;
    expect(await take()).toMatchObject({ kind: 'failed', reason: 'lease' });
    expect(await copies()).toEqual([]);
  });

  it('tells a release that is still queued before it asks for the same title again', async () => {
    await take();
    await remove(core, 'l1');
    expect(await take()).toEqual(given);
    const order = paths().filter((path) => path === '/v1/licenses' || path.endsWith('/release'));
    expect(order).toEqual(['/v1/licenses', '/v1/licenses/l1/release', '/v1/licenses']);
    expect(await core.db.unsent()).toBe(0);
  });

  it('takes over the bytes when an ended license is acquired anew', async () => {
    await take();
    now = START + 50 * HOUR;
    server['/v1/licenses'] = async () => {
      const reply = (await licenseAnswer({ license: 'l2', start_by: new Date(now + HOUR).toISOString() })) as { body: object };
      return { body: { ...reply.body, license: { id: 'l2' } } };
    };
    stored = { kind: 'failed', message: 'nothing is to be stored again' };
    expect(await take()).toEqual(given);
    expect(await copies()).toMatchObject([{ license: 'l2', state: 'stored', bytes: 7 }]);
    expect(await core.db.unsent()).toBe(0);
  });
});

it('a remedy is performed whole: devices removed, licenses released here and elsewhere', async () => {
  await take();
  asked = [];
  server['/v1/devices/tv'] = () => ok();
  const actions = [
    { do: 'release', license: 'l1', device: core.device, title: 'film' },
    { do: 'release', license: 'l9', device: 'phone', title: 'other' },
    { do: 'remove_device', device: 'tv' },
  ] as const;
  expect(await perform(core, { message: '', actions })).toMatchObject({ kind: 'ok' });
  expect(asked.map(({ method, path }) => `${method} ${path}`).sort()).toEqual([
    'DELETE /v1/devices/tv',
    'POST /v1/licenses/l1/release',
    'POST /v1/licenses/l9/release',
  ]);
  expect(await copies()).toEqual([]);
});

describe('sweeping up', () => {
  const bytes = (uri: string, license: string) => ({ uri, owner: 'ana', license });

  it('removes what no copy has: of licenses that are gone, and of a tab that was closed half-way', async () => {
    stored = { kind: 'unreachable' };
    await take();
    const other = { license: 'l5', title: { ...film, id: 'other' }, lease: '', drm: '' };
    await core.db.takeCopy({ ...other, content: { uri: 'offline:5', bytes: 1 } });
    listed = [
      bytes('offline:half', 'l1'),
      bytes('offline:gone', 'l0'),
      bytes('offline:5', 'l5'),
      { ...bytes('offline:ben', 'l9'), owner: 'ben' },
    ];
    await sweep(core);
    expect(removed).toEqual(['offline:half', 'offline:gone']);
  });

  it('keeps the bytes that a new license has taken over', async () => {
    await take();
    await core.db.takeCopy({ ...(await core.db.copies())[0]!, license: 'l2' });
    listed = [bytes('offline:1', 'l1')];
    await sweep(core);
    expect(removed).toEqual([]);
  });

  it('keeps what another tab is just storing', async () => {
    const store = vi.spyOn(media, 'store').mockImplementationOnce(async () => {
      listed = [bytes('offline:1', 'l1')];
      await sweep(await openCore(await around()));
      return stored;
    });
    expect(await take()).toEqual(given);
    expect(removed).toEqual([]);
    store.mockRestore();
  });
});

describe('playing', () => {
  const video = (): HTMLVideoElement =>
    Object.assign(new EventTarget(), { paused: false, currentTime: 0, play: async () => undefined }) as never;
  let ends: string[];
  const options: PlayOptions = { onEnd: (why) => void ends.push(why) };
  const start = () => play(core, video(), 'film', options);
  const second = async () => {
    vi.advanceTimersByTime(1_000);
    await vi.waitFor(() => expect(ends).toHaveLength(1));
  };

  beforeEach(() => {
    ends = [];
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    vi.stubGlobal('addEventListener', () => undefined);
    vi.stubGlobal('removeEventListener', () => undefined);
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it('needs a record of it: no room for that, no picture', async () => {
    await take();
    core.db.record = () => Promise.reject(new DOMException('full', 'QuotaExceededError'));
    expect(await start()).toMatchObject({ kind: 'failed', reason: 'no_space' });
    expect(unloaded).toBe(1);
  });

  it('ends when the copy is deleted, in whichever tab', async () => {
    await take();
    expect(await start()).toMatchObject({ kind: 'ok', value: { from: 'store' } });
    await core.db.forgetCopy('l1', true);
    await second();
    expect(ends).toEqual(['It is no longer on this device']);
    await vi.waitFor(() => expect(unloaded).toBe(1));
  });

  it('ends when the lease cannot be read any more', async () => {
    await take();
    await start();
    core.db.copy = () => Promise.reject(new DOMException('closed', 'InvalidStateError'));
    await second();
    expect(ends[0]).toMatch(/cannot be read/);
  });

  it('streams what the lease does not allow any more; out of reach, says why it does not play', async () => {
    await take();
    now = START + 49 * HOUR;
    server['playback-context'] = () => 'lost';
    expect(await start()).toMatchObject({ kind: 'failed', message: 'Was not started in time' });
    server['playback-context'] = () =>
      ok({
        title: film,
        streams: { dash: '/m.mpd' },
        drm: [{ system: 'org.w3.clearkey', license_url: '/v1/drm/clear-key' }],
        grant: 'g',
      });
    expect(await start()).toMatchObject({ kind: 'ok', value: { from: 'stream' } });
  });
});

describe('the outbox', () => {
  it('keeps events until they are acknowledged, over a restart, and tells them under the same numbers', async () => {
    await take();
    await record();
    const lost: unknown[] = [];
    server['session-events'] = ({ body }) => (lost.push(body['events']), 'lost');
    expect(await sync(core)).toBe(false);
    core.close();

    core = await openCore(await around());
    const told: unknown[] = [];
    server['session-events'] = ({ body }) => (told.push(body['events']), ok());
    expect(await sync(core)).toBe(true);
    expect(told).toEqual(lost);
    expect(await core.db.unsent()).toBe(0);
  });

  it('drops nothing for the page of a proxy, whatever its status', async () => {
    await record();
    server['session-events'] = () => ({ status: 400, body: '<h1>Bad Request</h1>' });
    expect(await sync(core)).toBe(false);
    expect(await core.db.unsent()).toBe(1);
  });

  it('tells a deletion once it can, however long ago it was', async () => {
    await take();
    server['/release'] = () => 'lost';
    await remove(core, 'l1');
    expect(removed).toEqual(['offline:1']);
    await sync(core);
    expect(await core.db.unsent()).toBe(1);
    now += 900 * HOUR;
    server['/release'] = () => ok();
    await sync(core);
    expect(await core.db.unsent()).toBe(0);
  });

  it('is sent by one tab at a time', async () => {
    const [one, two] = await Promise.all([sync(core), sync(core)]);
    expect([one, two].sort()).toEqual([true, undefined]);
  });

  it('reports a clock that was set back, with the raw time beside it', async () => {
    await take();
    await core.keepTime();
    now -= 3 * HOUR;
    const behind = core.behindMs();
    expect(behind).toBe(3 * HOUR);
    // And it extends nothing.
    expect(core.nowMs()).toBe(START);
  });
});

describe('two tabs', () => {
  it('a key that one of them has fetched is known to the other', async () => {
    const other = await openCore(await around());
    await take();
    const copy = (await core.db.copy('l1'))!;
    server = {};
    expect(await other.lease(copy)).toMatchObject({ kind: 'genuine' });
  });

  it('the highest time that one of them has seen counts for both', async () => {
    const other = await openCore(await around());
    now += 30 * HOUR;
    await core.keepTime();
    now = START;
    await other.keepTime();
    expect(other.nowMs()).toBe(START + 30 * HOUR);
    expect((await openCore(await around())).nowMs()).toBe(START + 30 * HOUR);
  });

  it('of two leases that arrive at once the later one stays', async () => {
    await take();
    now += HOUR;
    const later = await lease({ term: 2 });
    const earlier = await lease();
    await Promise.all([keepLease(core, 'l1', later), keepLease(core, 'l1', earlier)]);
    expect((await core.db.copy('l1'))?.lease).toBe(later);
  });
});

describe('checking in', () => {
  it('says of each copy whether it was started', async () => {
    await take();
    await sync(core);
    await record();
    await sync(core);
    const said = asked.filter(({ path }) => path.endsWith('/check-in')).map(({ body }) => body['holdings']);
    expect(said).toEqual([[{ license: 'l1', started: false }], [{ license: 'l1', started: true }]]);
  });

  it('keeps a re-signed lease, but never an older one', async () => {
    await take();
    now += HOUR;
    const later = await lease({ check_in_by: new Date(START + 30 * HOUR).toISOString() });
    const earlier = await lease({ issued_at: new Date(START - HOUR).toISOString() });
    server['check-in'] = () => ok({ leases: [{ license: 'l1', lease: later }], ended: [], lapsed: [] });
    await sync(core);
    expect((await core.db.copy('l1'))?.lease).toBe(later);
    server['check-in'] = () => ok({ leases: [{ license: 'l1', lease: earlier }], ended: [], lapsed: [] });
    await sync(core);
    expect((await core.db.copy('l1'))?.lease).toBe(later);
  });

  it('drops what somebody has ended', async () => {
    await take();
    server['check-in'] = () => ok({ leases: [], ended: ['l1'], lapsed: [] });
    await sync(core);
    expect(await copies()).toEqual([]);
    expect(removed).toEqual(['offline:1']);
    expect(notices).toEqual([{ kind: 'ended', titles: ['Film'] }]);
    expect(await core.db.unsent()).toBe(0);
  });

  it('keeps what has only run out, for it can be renewed', async () => {
    await take();
    await record();
    now += 11 * HOUR;
    server['check-in'] = () => ok({ leases: [], ended: ['l1'], lapsed: [] });
    await sync(core);
    expect(await copies()).toMatchObject([{ permission: { may: 'not' }, renewable: true, closed: false }]);
  });

  it('deletes what has run out where the lease wants it, once the server says so', async () => {
    server['/v1/licenses'] = () => licenseAnswer({ delete_at_end: true });
    await take();
    now += 60 * HOUR;
    server['check-in'] = () => 'lost';
    await sync(core);
    expect(await copies()).toMatchObject([{ permission: { may: 'not' } }]);
    server['check-in'] = () => ok({ leases: [], ended: ['l1'], lapsed: [] });
    await sync(core);
    expect(await copies()).toEqual([]);
    expect(removed).toEqual(['offline:1']);
    expect(notices).toEqual([{ kind: 'ended', titles: ['Film'] }]);
    expect(paths().filter((path) => path.endsWith('/release'))).toEqual(['/v1/licenses/l1/release']);
  });

  it('drops everything when the device was removed', async () => {
    await take();
    server['check-in'] = () => refused('device_removed');
    await sync(core);
    expect(await copies()).toEqual([]);
    expect(notices).toEqual([{ kind: 'device_removed' }]);
  });

  it('a server out of reach, or in trouble, stops no valid license', async () => {
    await take();
    server['check-in'] = () => ({ status: 503, body: {} });
    expect(await sync(core)).toBe(false);
    server = {};
    expect(await sync(core)).toBe(false);
    expect(await copies()).toMatchObject([{ permission: { may: 'play' } }]);
  });
});

describe('renewing', () => {
  const renewals = (): Asked[] => asked.filter(({ path }) => path.endsWith('/renew'));
  const second = () =>
    licenseAnswer({ term: 2, started_at: new Date(now).toISOString(), start_by: new Date(now + 48 * HOUR).toISOString(), renew_from: new Date(now + 40 * HOUR).toISOString() });

  it('happens by itself when it is due, once', async () => {
    await take();
    server['/renew'] = second;
    await sync(core);
    expect(renewals()).toEqual([]);
    now = START + 40 * HOUR;
    await sync(core);
    await sync(core);
    expect(renewals()).toMatchObject([{ body: { term: 1, automatic: true } }]);
    expect(await copies()).toMatchObject([{ term: 2, permission: { may: 'play' } }]);
  });

  it('is not asked again before it could pass', async () => {
    await take();
    now = START + 40 * HOUR;
    server['/renew'] = () => refused('renewals_exhausted');
    await sync(core);
    now += HOUR / 2;
    await sync(core);
    expect(renewals()).toHaveLength(1);
    expect(await copies()).toMatchObject([{ permission: { may: 'play' } }]);
  });

  it('on request is another request than the one whose answer was lost', async () => {
    await take();
    now = START + 40 * HOUR;
    server['/renew'] = () => 'lost';
    await sync(core);
    await renew(core, 'l1');
    await sync(core);
    const [first, asking, again] = renewals().map(({ key }) => key);
    expect(asking).not.toBe(first);
    expect(again).toBe(first);
  });

  it('brings back an expired copy on request, and not by itself', async () => {
    await take();
    await record();
    now = START + 11 * HOUR;
    server['/renew'] = second;
    await sync(core);
    expect(renewals()).toEqual([]);
    expect(await renew(core, 'l1')).toEqual(given);
    expect(renewals()).toMatchObject([{ body: { automatic: false } }]);
    expect(await copies()).toMatchObject([{ term: 2, started: false, permission: { may: 'play' } }]);
  });

  it('finds out that a license is closed for good', async () => {
    await take();
    server['/renew'] = () => refused('license_closed');
    await renew(core, 'l1');
    expect(await copies()).toMatchObject([{ closed: true, renewable: false }]);
  });
});
