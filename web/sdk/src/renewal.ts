// Renewing, and taking in the leases that come back.

import { saysCode, warnings } from './contract';
import { failed, type Core, type Given, type Outcome } from './core';
import type { Answer } from './http';

/** When the server names no time at which a refused renewal could pass. */
const RENEWAL_REFUSED_FOR_MS = 60 * 60_000;

const CLOSED = ['license_closed', 'license_unknown'];

/** `automatic`: nobody asked, and a policy may allow that less often. */
export async function renew(core: Core, license: string, automatic = false): Promise<Outcome<Given>> {
  const copy = await core.db.copy(license);
  if (!copy) return failed('absent', 'there is no such download on this device');
  const known = await core.lease(copy);
  const term = known.kind === 'genuine' ? known.lease.term : 1;
  // Another body, so another intent.
  const intent = `renew ${license} ${term}${automatic ? ' automatically' : ''}`;
  const answer = await underIntent(core, intent, (idempotencyKey) =>
    core.api('POST /v1/licenses/{license}/renew', {
      path: { license },
      body: { device: core.device, term, automatic },
      idempotencyKey,
    }),
  );
  if (answer.kind === 'problem') {
    const retryAt = Date.parse(answer.problem.refusal?.retry_at ?? '');
    const untilMs = Number.isNaN(retryAt) ? core.nowMs() + RENEWAL_REFUSED_FOR_MS : retryAt;
    const closed = CLOSED.some((code) => saysCode(answer.problem, code));
    await core.db.changeCopy(license, (kept) => ({
      ...kept,
      renewalRefused: { term, untilMs },
      ...(closed && { closed }),
    }));
    core.changed();
  }
  if (answer.kind !== 'ok') return answer;
  const { lease } = answer.value;
  const kept = lease !== undefined && (await keepLease(core, license, lease));
  core.changed();
  return kept
    ? { kind: 'ok', value: { warnings: warnings(answer.value) } }
    : failed('lease', 'the service sent nothing that this device can use; try again');
}

/** Of two leases of a license the later term holds, and of two of one term the later statement. */
export async function keepLease(core: Core, license: string, token: string): Promise<boolean> {
  const check = await core.verifyNew(token);
  if (check.kind !== 'genuine' || check.lease.license !== license) {
    console.warn('carnet: a lease was not taken', license, check);
    return false;
  }
  const { term, issuedAtMs } = check.lease;
  // A check-in and a renewal may bring one each at the same time.
  await core.inTurn(`lease ${license}`, async () => {
    const copy = await core.db.copy(license);
    const known = copy && (await core.lease(copy));
    const older =
      known?.kind === 'genuine' &&
      (term < known.lease.term || (term === known.lease.term && issuedAtMs < known.lease.issuedAtMs));
    if (!older) await core.db.changeCopy(license, (kept) => ({ ...kept, lease: token }));
  });
  return true;
}

/** A request whose answer was lost is repeated under its first key, so that it counts once. */
export async function underIntent<T>(
  core: Core,
  what: string,
  ask: (idempotencyKey: string) => Promise<Answer<T>>,
): Promise<Answer<T>> {
  const answer = await ask(await core.db.intent(what, crypto.randomUUID()));
  if (answer.kind !== 'unreachable') await core.db.intentDone(what);
  return answer;
}
