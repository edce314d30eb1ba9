// What all parts of the SDK share: this device's key and clock, the door to the server, the leases it
// has verified. Opened once for a page and a member.

import { behindMs, heard, merged, NEVER_SEEN, nowMs, observe, offsetMs, resume, type Reading } from './clock';
import type { Problem } from './contract';
import type { Copy, Database } from './database';
import { createApi, type Api } from './http';
import type { Jwk } from './jws';
import { createIdentity, deviceKey, type DeviceKey } from './key';
import { verifyLease, type Holder, type Knowledge, type Lease, type LeaseCheck } from './lease';
import type { Media } from './media';

/** Everything from outside, handed in. */
export interface Surroundings {
  readonly base: string;
  readonly member: string;
  readonly deviceName: string;
  readonly database: Database;
  readonly media: Media;
  readonly fetch: typeof fetch;
  readonly token: (fresh: boolean) => Promise<string | undefined>;
  readonly reading: () => Reading;
  readonly random: () => number;
  /** So that of several tabs only one sends. */
  readonly locks: LockManager;
  /** The longest time between two check-ins of an open page. */
  readonly syncEveryMs: number;
}

export type Failure =
  /** The server's no, with its reasons. */
  | { readonly kind: 'problem'; readonly problem: Problem }
  | { readonly kind: 'unreachable'; readonly why: string }
  | {
      readonly kind: 'failed';
      readonly reason: 'cancelled' | 'no_space' | 'busy' | 'media' | 'lease' | 'absent';
      readonly message: string;
    };

export type Outcome<T> = { readonly kind: 'ok'; readonly value: T } | Failure;

/** A download or a renewal that was allowed. */
export interface Given {
  /** What the member should hear of before it is used up, in the server's words. */
  readonly warnings: readonly string[];
}

type Reason = Extract<Failure, { kind: 'failed' }>['reason'];

export function failed(reason: Reason, message: string): Failure {
  return { kind: 'failed', reason, message };
}

export type Notice =
  /** The server has ended these: they are no longer on this device. */
  | { readonly kind: 'ended'; readonly titles: readonly string[] }
  /** This device was removed from its member's devices. */
  | { readonly kind: 'device_removed' };

export interface Core {
  readonly around: Surroundings;
  readonly db: Database;
  readonly api: Api;
  readonly device: string;
  readonly key: DeviceKey;
  nowMs(): number;
  behindMs(): number;
  offsetMs(): number | undefined;
  deviceMs(): number;
  /** Stores the highest time seen. */
  keepTime(): Promise<void>;
  reachable(): boolean;
  /** Whether the server has answered everything that was due: renewals too. */
  setAnswered(answered: boolean): void;
  knowledge(copy: Copy, lease: Lease): Knowledge;
  lease(copy: Copy): Promise<LeaseCheck>;
  /** Verifies a lease that has just come, fetching the server's keys when its key is new. */
  verifyNew(token: string): Promise<LeaseCheck>;
  changed(): void;
  notify(notice: Notice): void;
  onChange(listener: () => void): () => void;
  onNotice(listener: (notice: Notice) => void): () => void;
  /** Runs `work` unless another tab is at it; then undefined. */
  alone<T>(name: string, work: () => Promise<T>): Promise<T | undefined>;
  /** Runs `work` after whoever is at it. */
  inTurn<T>(name: string, work: () => Promise<T>): Promise<T>;
  close(): void;
}

export async function openCore(around: Surroundings): Promise<Core> {
  const { database: db, reading, member } = around;
  const identity = await db.identity(await createIdentity());
  const key = await deviceKey(identity);
  const holder: Holder = { member, device: identity.device, thumbprint: key.thumbprint };

  let clock = resume((await db.value('clock')) ?? NEVER_SEEN, reading());
  let keys: readonly Jwk[] = (await db.value('keys')) ?? [];
  let closed = false;
  let reachable = false;
  let answered = false;
  const checks = new Map<string, LeaseCheck>();
  const channel = new BroadcastChannel(`carnet ${member}`);
  const changes = new Set<() => void>();
  const notices = new Set<(notice: Notice) => void>();
  const tell = (): void => changes.forEach((listener) => listener());
  channel.onmessage = tell;

  const api = createApi({
    base: around.base,
    fetch: around.fetch,
    token: around.token,
    proof: (method, url, token) => key.proof(method, url, token, nowMs(clock, reading())),
    heard: (serverMs) => {
      clock = heard(clock, reading(), serverMs);
    },
    reached: (is) => {
      if (!is) answered = false;
      if (is === reachable) return;
      reachable = is;
      tell();
    },
  });

  async function check(token: string): Promise<LeaseCheck> {
    const known = checks.get(token);
    if (known) return known;
    let made = await verifyLease(token, keys, holder);
    if (made.kind === 'unknown_key') {
      // Another tab may have fetched it.
      keys = (await db.value('keys')) ?? keys;
      made = await verifyLease(token, keys, holder);
    }
    if (made.kind !== 'unknown_key') checks.set(token, made);
    return made;
  }

  return {
    around,
    db,
    api,
    device: identity.device,
    key,
    nowMs: () => nowMs(clock, reading()),
    behindMs: () => behindMs(clock, reading()),
    offsetMs: () => offsetMs(clock, reading()),
    deviceMs: () => reading().deviceMs,
    async keepTime() {
      clock = observe(clock, reading());
      const kept = await db.changeValue('clock', (other) => merged(clock, other ?? NEVER_SEEN));
      const { heardMs, highestMs } = merged(clock, kept);
      if (heardMs !== clock.heardMs || highestMs !== clock.highestMs) clock = resume(kept, reading());
    },
    reachable: () => reachable,
    setAnswered(is) {
      answered = is;
    },
    knowledge: (copy, lease) => ({
      ...(copy.firstPlayed?.term === lease.term && { firstPlayedAtMs: copy.firstPlayed.atMs }),
      // Whoever is in their grace stays there until the renewal that is due has its answer.
      serverReachable: answered,
    }),
    lease: (copy) => check(copy.lease),
    async verifyNew(token) {
      const first = await check(token);
      if (first.kind !== 'unknown_key') return first;
      const set = await api('GET /.well-known/carnet/jwks.json', {});
      if (set.kind === 'ok') {
        keys = (set.value as { keys?: readonly Jwk[] }).keys ?? [];
        await db.setValue('keys', keys);
      }
      return check(token);
    },
    changed() {
      if (closed) return;
      tell();
      channel.postMessage('changed');
    },
    notify: (notice) => notices.forEach((listener) => listener(notice)),
    onChange(listener) {
      changes.add(listener);
      return () => changes.delete(listener);
    },
    onNotice(listener) {
      notices.add(listener);
      return () => notices.delete(listener);
    },
    alone: (name, work) =>
      around.locks.request(`carnet ${member} ${name}`, { ifAvailable: true }, (lock) =>
        lock ? work() : undefined,
      ) as Promise<Awaited<ReturnType<typeof work>> | undefined>,
    inTurn: (name, work) =>
      around.locks.request(`carnet ${member} ${name}`, () => work()) as Promise<
        Awaited<ReturnType<typeof work>>
      >,
    close() {
      closed = true;
      channel.close();
      db.close();
    },
  };
}
