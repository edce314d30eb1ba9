import { beforeAll, describe, expect, it } from 'vitest';

import { toBase64Url, utf8 } from './bytes';
import type { Jwk } from './jws';
import {
  LEASE_TYP,
  mayGoOn,
  mayPlay,
  nextMomentMs,
  nextStep,
  verifyLease,
  type Holder,
  type Knowledge,
  type Lease,
} from './lease';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const day = (n: number): number => n * DAY;

const ONLINE: Knowledge = { serverReachable: true };
const OFFLINE: Knowledge = { serverReachable: false };
const playedAt = (ms: number, knowledge = ONLINE): Knowledge => ({ ...knowledge, firstPlayedAtMs: ms });

/** Begun on day 0: start within 30 days, finish within 2, online once in 20, renewable from day 29. */
const RENTAL: Lease = {
  license: 'l',
  member: 'm',
  device: 'd',
  title: 't',
  term: 1,
  issuedAtMs: 0,
  startedAtMs: 0,
  startByMs: day(30),
  finishWithinMs: day(2),
  checkInByMs: day(20),
  graceMs: 0,
  runningPlayMs: 0,
  renewFromMs: day(29),
};
const { checkInByMs: _checkIn, ...NO_CHECK_IN } = RENTAL;
const { startByMs: _startBy, ...NO_START } = RENTAL;

const plays = (clock: string, atMs: number, inGrace = false) => ({ may: 'play', end: { clock, atMs }, inGrace });
const ended = (clock: string, atMs: number) => ({ may: 'not', ended: { clock, atMs } });

describe('which clock governs, half-open', () => {
  it.each([
    ['unplayed: the earlier of start and check-in', RENTAL, ONLINE, day(1), plays('check_in', day(20))],
    ['start_within governs only until the first play', NO_CHECK_IN, ONLINE, day(1), plays('start', day(30))],
    ['a play at the last moment', NO_CHECK_IN, ONLINE, day(30) - 1, plays('start', day(30))],
    ['start_by is the first instant too late', NO_CHECK_IN, ONLINE, day(30), ended('start', day(30))],
    ['finish_within only after the first play', NO_CHECK_IN, playedAt(day(3)), day(4), plays('finish', day(5))],
    ['a play before start_by may end after it', NO_CHECK_IN, playedAt(day(29)), day(30), plays('finish', day(31))],
    ['finish_within has passed', NO_CHECK_IN, playedAt(day(3)), day(5), ended('finish', day(5))],
    ['the check-in deadline cuts a running finish clock', RENTAL, playedAt(day(19)), day(20), ended('check_in', day(20))],
    ['the hard end cuts everything', { ...RENTAL, hardEndMs: day(2) }, playedAt(day(1)), day(2), ended('hard_end', day(2))],
    ['of two at one instant the hard end is named', { ...RENTAL, hardEndMs: day(20) }, ONLINE, day(1), plays('hard_end', day(20))],
    ['not before its beginning', { ...RENTAL, notBeforeMs: day(1) }, ONLINE, day(1) - 1, { may: 'wait', fromMs: day(1) }],
    ['at its beginning', { ...RENTAL, notBeforeMs: day(1) }, ONLINE, day(1), plays('check_in', day(20))],
    ['no play clock before a play without start_within', { ...NO_START }, ONLINE, day(1), plays('check_in', day(20))],
  ])('%s', (_name, lease, knowledge, now, expected) => {
    expect(mayPlay(lease, knowledge, now)).toEqual(expected);
  });

  it('nothing ends a lease without clocks', () => {
    const { startByMs: _start, finishWithinMs: _finish, ...forEver } = NO_CHECK_IN;
    expect(mayPlay(forEver, ONLINE, day(9999))).toEqual({ may: 'play', inGrace: false });
  });

  it('of two first plays the earlier one counts, whoever knows of it', () => {
    const lease = { ...NO_CHECK_IN, firstPlayedAtMs: day(3) };
    expect(mayPlay(lease, playedAt(day(2)), day(2))).toEqual(plays('finish', day(4)));
    expect(mayPlay(lease, playedAt(day(4)), day(4))).toEqual(plays('finish', day(5)));
  });
});

describe('grace: only when a renewal is due and the server cannot be reached', () => {
  const lease: Lease = { ...NO_CHECK_IN, graceMs: day(1), firstPlayedAtMs: 0 };
  it.each([
    ['out of reach, due', lease, OFFLINE, plays('finish', day(3), true)],
    ['in reach', lease, ONLINE, ended('finish', day(2))],
    ['nothing left to renew', { ...lease, renewFromMs: undefined }, OFFLINE, ended('finish', day(2))],
    ['renewing is closed', { ...lease, renewUntilMs: day(2) }, OFFLINE, ended('finish', day(2))],
    ['a hard end knows no grace', { ...lease, hardEndMs: day(2) }, OFFLINE, ended('hard_end', day(2))],
    ['nor does the start clock', { ...NO_CHECK_IN, startByMs: day(2), graceMs: day(1) }, OFFLINE, ended('start', day(2))],
  ])('%s', (_name, given, knowledge, expected) => {
    expect(mayPlay(given as Lease, knowledge, day(2))).toEqual(expected);
  });

  it('ends', () => {
    expect(mayPlay(lease, OFFLINE, day(3))).toEqual(ended('finish', day(2)));
  });
});

describe('a play that is running at the end', () => {
  const lease: Lease = { ...NO_CHECK_IN, runningPlayMs: 4 * HOUR, firstPlayedAtMs: 0 };
  it('goes on for as long as the lease says', () => {
    expect(mayGoOn(lease, ONLINE, day(2) + 4 * HOUR - 1)).toMatchObject({ may: 'play' });
    expect(mayGoOn(lease, ONLINE, day(2) + 4 * HOUR)).toEqual(ended('finish', day(2)));
  });
  it('does not begin then', () => {
    expect(mayPlay(lease, ONLINE, day(2))).toEqual(ended('finish', day(2)));
  });
  it('is cut by a hard end all the same', () => {
    expect(mayGoOn({ ...lease, hardEndMs: day(2) }, ONLINE, day(2))).toEqual(ended('hard_end', day(2)));
  });
});

describe('what to do next', () => {
  it.each([
    ['early', NO_CHECK_IN, ONLINE, day(28), { do: 'nothing' }],
    ['when due', NO_CHECK_IN, ONLINE, day(29), { do: 'renew' }],
    // The lease was signed before the play that moved its end to day 3, before its own renew_from.
    ['over by a play that the lease has not heard of', NO_CHECK_IN, playedAt(day(1)), day(3), { do: 'ask', renewable: true }],
    ['after expiry on request only', NO_CHECK_IN, ONLINE, day(30), { do: 'ask', renewable: true }],
    ['nothing left to renew', { ...NO_CHECK_IN, renewFromMs: undefined }, ONLINE, day(30), { do: 'ask', renewable: false }],
    // "At any time" is not "at once".
    ['renewable from the start, early', { ...NO_CHECK_IN, renewFromMs: 0 }, ONLINE, day(1), { do: 'nothing' }],
    ['renewable from the start, late', { ...NO_CHECK_IN, renewFromMs: 0 }, ONLINE, day(23), { do: 'renew' }],
    ['within its grace', { ...NO_CHECK_IN, graceMs: day(1) }, playedAt(0), day(2), { do: 'renew' }],
  ])('%s', (_name, lease, knowledge, now, expected) => {
    expect(nextStep(lease as Lease, knowledge, now)).toEqual(expected);
  });

  it('looks again at the next moment that changes an answer', () => {
    expect(nextMomentMs(NO_CHECK_IN, ONLINE, day(1))).toBe(day(29));
    expect(nextMomentMs(NO_CHECK_IN, ONLINE, day(29))).toBe(day(30));
    expect(nextMomentMs(NO_CHECK_IN, ONLINE, day(30))).toBeUndefined();
    expect(nextMomentMs(NO_CHECK_IN, playedAt(day(1)), day(1))).toBe(day(3));
    // A check-in is due when three quarters of its time have passed.
    expect(nextMomentMs(RENTAL, ONLINE, day(1))).toBe(day(15));
  });
});

describe('verifying', () => {
  const holder: Holder = { member: 'm', device: 'd', thumbprint: 'print' };
  const claims = {
    iss: 'urn:test',
    lease_version: 1,
    license: 'l',
    member: 'm',
    device: 'd',
    device_key: 'print',
    title: 't',
    term: 2,
    issued_at: '2026-01-02T03:04:05.006Z',
    started_at: '2026-01-02T03:04:05.006Z',
    start_by: '2026-02-01T00:00:00.000Z',
    finish_within_ms: 1000,
    grace_ms: 0,
    running_play_ms: 0,
    renew_from: '2026-01-31T00:00:00.000Z',
    kids: [],
    enforced_by: { start_by: 'app', finish_within: 'app' },
  };
  let signer: CryptoKeyPair;
  let keys: Jwk[];

  beforeAll(async () => {
    signer = (await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])) as CryptoKeyPair;
    const { kty, crv, x } = await crypto.subtle.exportKey('jwk', signer.publicKey);
    keys = [{ kty, crv, x, kid: 'k1' } as Jwk];
  });

  async function sign(payload: unknown, header: object = {}): Promise<string> {
    const part = (value: unknown): string => toBase64Url(utf8(JSON.stringify(value)));
    const signed = `${part({ alg: 'Ed25519', typ: LEASE_TYP, kid: 'k1', ...header })}.${part(payload)}`;
    const signature = await crypto.subtle.sign('Ed25519', signer.privateKey, utf8(signed));
    return `${signed}.${toBase64Url(new Uint8Array(signature))}`;
  }

  it('reads every clock of a genuine lease', async () => {
    expect(await verifyLease(await sign(claims), keys, holder)).toEqual({
      kind: 'genuine',
      lease: {
        license: 'l',
        member: 'm',
        device: 'd',
        title: 't',
        term: 2,
        issuedAtMs: Date.UTC(2026, 0, 2, 3, 4, 5, 6),
        startedAtMs: Date.UTC(2026, 0, 2, 3, 4, 5, 6),
        startByMs: Date.UTC(2026, 1, 1),
        finishWithinMs: 1000,
        graceMs: 0,
        runningPlayMs: 0,
        renewFromMs: Date.UTC(2026, 0, 31),
      },
    });
  });

  it('takes the older name of the algorithm', async () => {
    expect(await verifyLease(await sign(claims, { alg: 'EdDSA' }), keys, holder)).toMatchObject({ kind: 'genuine' });
  });

  it.each([
    ['another version', { lease_version: 2 }, {}],
    ['another member', { member: 'n' }, {}],
    ['another device', { device: 'e' }, {}],
    ['another key', { device_key: 'other' }, {}],
    ['a clock that cannot be read', { start_by: 'soon' }, {}],
    ['a term that is missing', { term: undefined }, {}],
    ['another kind of token', {}, { typ: 'carnet-grant+jwt' }],
    ['another algorithm', {}, { alg: 'none' }],
    ['an extension', {}, { crit: ['b64'] }],
  ])('refuses %s', async (_name, changed, header) => {
    const token = await sign({ ...claims, ...changed }, header);
    expect(await verifyLease(token, keys, holder)).toMatchObject({ kind: 'forged' });
  });

  it('refuses every single changed character', async () => {
    const token = await sign(claims);
    for (let at = 0; at < token.length - 1; at += 7) {
      const other = token[at] === 'A' ? 'B' : 'A';
      const changed = token.slice(0, at) + other + token.slice(at + 1);
      const { kind } = await verifyLease(changed, keys, holder);
      expect(kind, `character ${at}`).not.toBe('genuine');
    }
  });

  it('asks for the keys again when it does not know the one', async () => {
    const token = await sign(claims, { kid: 'k2' });
    expect(await verifyLease(token, keys, holder)).toEqual({ kind: 'unknown_key', kid: 'k2' });
  });
});
