// The lease: what a device may do with its copy of a title, and until when. No fetch, no storage, no
// Date.now: a lease, what the device knows and an instant go in, an answer comes out.

import { verifyJws, type Jwk } from './jws';

export const LEASE_TYP = 'carnet-lease+jwt';
const LEASE_VERSION = 1;

/** What ends a term; when several end at one instant, the earlier in this list governs. */
const CLOCKS = ['hard_end', 'check_in', 'finish', 'start'] as const;
export type ClockName = (typeof CLOCKS)[number];

/** Instants in milliseconds since 1970; a clock that is absent does not run. */
export interface Lease {
  readonly license: string;
  readonly member: string;
  readonly device: string;
  readonly title: string;
  readonly term: number;
  readonly issuedAtMs: number;
  readonly startedAtMs: number;
  readonly notBeforeMs?: number;
  readonly startByMs?: number;
  readonly finishWithinMs?: number;
  readonly firstPlayedAtMs?: number;
  readonly checkInByMs?: number;
  readonly hardEndMs?: number;
  readonly graceMs: number;
  readonly runningPlayMs: number;
  /** The copy goes when the term has ended. */
  readonly deleteAtEnd?: true;
  /** Absent when there is nothing left to renew. */
  readonly renewFromMs?: number;
  readonly renewUntilMs?: number;
}

/** What this device knows beside its lease. */
export interface Knowledge {
  /** The first play of this term as seen here; the server may not have heard of it yet. */
  readonly firstPlayedAtMs?: number;
  readonly serverReachable: boolean;
}

export type End = { readonly clock: ClockName; readonly atMs: number };

export type Permission =
  /** `end` is absent when nothing ends it. */
  | { readonly may: 'play'; readonly end?: End; readonly inGrace: boolean }
  | { readonly may: 'wait'; readonly fromMs: number }
  | { readonly may: 'not'; readonly ended: End };

export type Step =
  | { readonly do: 'nothing' }
  | { readonly do: 'renew' }
  /** Over, and nobody renews by itself what was left to run out: the member is asked. */
  | { readonly do: 'ask'; readonly renewable: boolean };

export function mayPlay(lease: Lease, knowledge: Knowledge, nowMs: number): Permission {
  if (lease.notBeforeMs !== undefined && nowMs < lease.notBeforeMs) {
    return { may: 'wait', fromMs: lease.notBeforeMs };
  }
  const end = endOf(lease, knowledge);
  if (!end || nowMs < end.atMs) return { may: 'play', ...(end && { end }), inGrace: false };
  // Grace is for the member whose renewal is due while we are out of reach, and for nobody else.
  if (!knowledge.serverReachable && renewalOpen(lease, knowledge, nowMs)) {
    const grace = endOf(lease, knowledge, lease.graceMs);
    if (grace && nowMs < grace.atMs) return { may: 'play', end: grace, inGrace: true };
  }
  return { may: 'not', ended: end };
}

/** As `mayPlay`, for a play that is running: at the end of the finish clock it may go on a little. */
export function mayGoOn(lease: Lease, knowledge: Knowledge, nowMs: number): Permission {
  const permission = mayPlay(lease, knowledge, nowMs);
  if (permission.may !== 'not') return permission;
  const graceMs = knowledge.serverReachable ? 0 : lease.graceMs;
  const end = endOf(lease, knowledge, graceMs + lease.runningPlayMs);
  return end && nowMs < end.atMs ? { may: 'play', end, inGrace: false } : permission;
}

/** What to do about a lease when nobody has asked for anything. */
export function nextStep(lease: Lease, knowledge: Knowledge, nowMs: number): Step {
  const permission = mayPlay(lease, { ...knowledge, serverReachable: false }, nowMs);
  if (permission.may === 'not') {
    return { do: 'ask', renewable: renewalOpen(lease, knowledge, nowMs) };
  }
  return permission.may === 'play' && renewalDue(lease, knowledge, nowMs)
    ? { do: 'renew' }
    : { do: 'nothing' };
}

/** When to look at this lease again: its next moment that changes an answer. */
export function nextMomentMs(lease: Lease, knowledge: Knowledge, nowMs: number): number | undefined {
  const moments = [
    lease.notBeforeMs,
    checkInDueMs(lease),
    renewalDueMs(lease, knowledge),
    endOf(lease, knowledge)?.atMs,
  ];
  const ahead = moments.filter((at): at is number => at !== undefined && at > nowMs);
  return ahead.length > 0 ? Math.min(...ahead) : undefined;
}

/** The end from what is known and the clock that governs it. Extra time is the finish clock's. */
function endOf(lease: Lease, knowledge: Knowledge, extraMs = 0): End | undefined {
  const firstPlayMs = firstPlayedAtMs(lease, knowledge);
  const ends: Record<ClockName, number | undefined> = {
    hard_end: lease.hardEndMs,
    check_in: lease.checkInByMs,
    finish:
      firstPlayMs === undefined || lease.finishWithinMs === undefined
        ? undefined
        : firstPlayMs + lease.finishWithinMs + extraMs,
    start: firstPlayMs === undefined ? lease.startByMs : undefined,
  };
  let first: End | undefined;
  for (const clock of CLOCKS) {
    const atMs = ends[clock];
    if (atMs !== undefined && (!first || atMs < first.atMs)) first = { clock, atMs };
  }
  return first;
}

/** The earliest play that either side knows of: it may move earlier, never later. */
export function firstPlayedAtMs(lease: Lease, knowledge: Knowledge): number | undefined {
  const known = [lease.firstPlayedAtMs, knowledge.firstPlayedAtMs].filter((at) => at !== undefined);
  return known.length > 0 ? Math.min(...known) : undefined;
}

/** Whether the server would take a renewal now, as far as the device can tell. */
export function renewalOpen(lease: Lease, knowledge: Knowledge, nowMs: number): boolean {
  if (lease.renewFromMs === undefined) return false;
  // Renewing opens before the end. A first play that the lease has not heard of moved that nearer.
  const end = endOf(lease, knowledge);
  const fromMs = Math.min(lease.renewFromMs, end?.atMs ?? Infinity);
  return fromMs <= nowMs && (lease.renewUntilMs === undefined || nowMs < lease.renewUntilMs);
}

function renewalDue(lease: Lease, knowledge: Knowledge, nowMs: number): boolean {
  const dueMs = renewalDueMs(lease, knowledge);
  return dueMs !== undefined && dueMs <= nowMs && renewalOpen(lease, knowledge, nowMs);
}

/** "May be renewed at any time" is not "renew at once": then the last quarter of the term is it. */
function renewalDueMs(lease: Lease, knowledge: Knowledge): number | undefined {
  if (lease.renewFromMs === undefined) return undefined;
  const end = endOf(lease, knowledge);
  if (lease.renewFromMs > lease.startedAtMs) {
    return Math.min(lease.renewFromMs, end?.atMs ?? Infinity);
  }
  return end && end.atMs - (end.atMs - lease.startedAtMs) / 4;
}

/** Well before the deadline, which each check-in moves. */
function checkInDueMs({ checkInByMs, issuedAtMs }: Lease): number | undefined {
  return checkInByMs === undefined ? undefined : checkInByMs - (checkInByMs - issuedAtMs) / 4;
}

export type LeaseCheck =
  | { readonly kind: 'genuine'; readonly lease: Lease }
  | { readonly kind: 'unknown_key'; readonly kid: string }
  | { readonly kind: 'forged'; readonly why: string };

/** Whose a lease has to be to count on this device. */
export interface Holder {
  readonly member: string;
  readonly device: string;
  readonly thumbprint: string;
}

export async function verifyLease(token: string, keys: readonly Jwk[], holder: Holder): Promise<LeaseCheck> {
  const verified = await verifyJws(token, LEASE_TYP, keys);
  if (verified.kind !== 'genuine') return verified;
  const claims = verified.payload as Claims;
  if (claims.lease_version !== LEASE_VERSION) {
    return { kind: 'forged', why: `lease version \`${String(claims.lease_version)}\` is not known` };
  }
  if (claims.member !== holder.member || claims.device !== holder.device) {
    return { kind: 'forged', why: 'the lease is another device\'s' };
  }
  if (claims.device_key !== undefined && claims.device_key !== holder.thumbprint) {
    return { kind: 'forged', why: 'the lease is bound to another key' };
  }
  const lease = leaseOf(claims);
  return lease ? { kind: 'genuine', lease } : { kind: 'forged', why: 'a claim is missing or malformed' };
}

interface Claims {
  readonly [name: string]: unknown;
}

/** A lease with a clock that we cannot read is no lease: half of its clocks would not be enforced. */
function leaseOf(claims: Claims): Lease | undefined {
  let sound = true;
  const need = <T>(value: T | undefined): T => {
    if (value === undefined) sound = false;
    return value as T;
  };
  const text = (name: string): string | undefined => {
    const value = claims[name];
    return typeof value === 'string' ? value : undefined;
  };
  const count = (name: string): number | undefined => {
    const value = claims[name];
    return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
  };
  const instant = (name: string): number | undefined => {
    const atMs = Date.parse(text(name) ?? '');
    return Number.isNaN(atMs) ? undefined : atMs;
  };
  const optional = <K extends string>(
    member: K,
    name: string,
    read: (name: string) => number | undefined,
  ): { [key in K]?: number } => {
    if (claims[name] === undefined || claims[name] === null) return {};
    return { [member]: need(read(name)) } as { [key in K]?: number };
  };
  const lease: Lease = {
    license: need(text('license')),
    member: need(text('member')),
    device: need(text('device')),
    title: need(text('title')),
    term: need(count('term')),
    issuedAtMs: need(instant('issued_at')),
    startedAtMs: need(instant('started_at')),
    graceMs: need(count('grace_ms')),
    runningPlayMs: need(count('running_play_ms')),
    ...(claims.delete_at_end === true && { deleteAtEnd: true }),
    ...optional('notBeforeMs', 'not_before', instant),
    ...optional('startByMs', 'start_by', instant),
    ...optional('finishWithinMs', 'finish_within_ms', count),
    ...optional('firstPlayedAtMs', 'first_played_at', instant),
    ...optional('checkInByMs', 'check_in_by', instant),
    ...optional('hardEndMs', 'hard_end', instant),
    ...optional('renewFromMs', 'renew_from', instant),
    ...optional('renewUntilMs', 'renew_until', instant),
  };
  return sound ? lease : undefined;
}
