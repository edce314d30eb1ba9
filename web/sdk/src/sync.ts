// What a device does by itself when the server can be reached: tells what it has to tell, checks in,
// renews what is due. Nothing here stops a valid license: a server out of reach changes nothing.

import { saysCode, type Holding, type Problem, type QueuedEvent } from './contract';
import type { Core } from './core';
import type { Copy, QueuedRelease } from './database';
import type { Answer } from './http';
import { mayPlay, nextStep } from './lease';
import { drain, type Sent } from './outbox';
import { keepLease, renew } from './renewal';

/** True when everything was told and answered; undefined when another tab is at it. */
export async function sync(core: Core): Promise<boolean | undefined> {
  const done = await core.alone('sync', async () => {
    const all = (await tell(core)) && (await checkIn(core)) && (await renewDue(core));
    core.setAnswered(all);
    await core.keepTime();
    return all;
  });
  core.changed();
  return done;
}

/** Sends the outbox, after whoever else is sending. */
export function sendOutbox(core: Core): Promise<boolean> {
  return core.inTurn('sync', () => tell(core));
}

/** Sends the outbox; true when no release that `concerns` has to wait for another time. */
export async function sendReleases(
  core: Core,
  concerns: (release: QueuedRelease) => boolean,
): Promise<boolean> {
  await sendOutbox(core);
  return !(await core.db.oldestReleases()).some(concerns);
}

async function tell(core: Core): Promise<boolean> {
  const { db } = core;
  const events = { oldest: db.oldestEvents, remove: db.removeEvents };
  const releases = {
    oldest: async () => db.oldestReleases(1),
    remove: db.removeReleases,
  };
  const dropped = (item: QueuedEvent | QueuedRelease, status: Sent): void =>
    console.warn('carnet: the server will never take this, so it is dropped', status, item);
  const told = await drain(events, (batch) => sendEvents(core, batch), dropped);
  return (await drain(releases, ([release]) => sendRelease(core, release), dropped)) && told;
}

async function sendEvents(core: Core, events: readonly QueuedEvent[]): Promise<Sent> {
  const answer = await core.api('POST /v1/devices/{device}/session-events', {
    path: { device: core.device },
    body: { sent_at: new Date(core.deviceMs()).toISOString(), events },
  });
  return statusOf(answer);
}

async function sendRelease(core: Core, queued: QueuedRelease | undefined): Promise<Sent> {
  return queued ? statusOf(await release(core, queued.license)) : 200;
}

/** Any device of a member may release any of the member's licenses. */
export function release(core: Core, license: string): Promise<Answer<unknown>> {
  const path = { license };
  return core.api('POST /v1/licenses/{license}/release', { path, body: { device: core.device } });
}

function statusOf(answer: Answer<unknown>): Sent {
  if (answer.kind === 'ok') return 200;
  return answer.kind === 'unreachable' ? 'unreachable' : answer.problem.status;
}

async function checkIn(core: Core): Promise<boolean> {
  const copies = await core.db.copies();
  if (copies.length === 0) return true;
  const holdings = await Promise.all(copies.map((copy) => holding(core, copy)));
  const path = { device: core.device };
  const answer = await core.api('POST /v1/devices/{device}/check-in', { path, body: { holdings } });
  if (answer.kind === 'problem') return afterRefusedCheckIn(core, copies, answer.problem);
  if (answer.kind === 'unreachable') return false;
  for (const { license, lease } of answer.value.leases) await keepLease(core, license, lease);
  return dropEnded(core, copies.filter((copy) => answer.value.ended.includes(copy.license)));
}

async function holding(core: Core, copy: Copy): Promise<Holding> {
  const check = await core.lease(copy);
  // To say "never started" closes a license for good, so whoever does not know says nothing of it.
  const started = check.kind !== 'genuine' || copy.firstPlayed?.term === check.lease.term;
  return { license: copy.license, started };
}

/**
 * What ended while its lease was still running was ended by somebody, and its copy goes. What has run
 * out stays, for the member may renew it, unless the lease wants it deleted; but not what the server
 * has closed as never started. The server's word is waited for: a clock that jumps deletes nothing.
 * True when the server knows of everything that was deleted.
 */
async function dropEnded(core: Core, ended: readonly Copy[]): Promise<boolean> {
  const gone: Copy[] = [];
  const over: Copy[] = [];
  for (const copy of ended) {
    const check = await core.lease(copy);
    if (check.kind !== 'genuine') continue;
    const permission = mayPlay(check.lease, core.knowledge(copy, check.lease), core.nowMs());
    if (permission.may !== 'not') gone.push(copy);
    else if (check.lease.deleteAtEnd) over.push(copy);
    else if (permission.ended.clock === 'start') {
      await core.db.changeCopy(copy.license, (kept) => ({ ...kept, closed: true }));
    }
  }
  await drop(core, gone);
  for (const { license } of over) await remove(core, license);
  const titles = [...gone, ...over].map(({ title }) => title.name);
  if (titles.length > 0) core.notify({ kind: 'ended', titles });
  return over.length === 0 || tell(core);
}

/** Removing a device closes its licenses, so their copies go as well. */
async function afterRefusedCheckIn(core: Core, copies: Copy[], problem: Problem): Promise<boolean> {
  if (!saysCode(problem, 'device_removed')) return false;
  await drop(core, copies);
  core.notify({ kind: 'device_removed' });
  return true;
}

/** Deletes the copy at once; the server hears of it when it can. */
export async function remove(core: Core, license: string): Promise<void> {
  const copy = await core.db.copy(license);
  await core.db.forgetCopy(license, true);
  core.changed();
  // Bytes without a copy are swept up at the next start, should this fail.
  if (copy?.content) await core.around.media.remove(copy.content.uri).catch(() => undefined);
}

/** The server has closed these licenses: there is nothing to release. */
async function drop(core: Core, copies: readonly Copy[]): Promise<void> {
  for (const copy of copies) {
    await core.db.forgetCopy(copy.license, false);
    if (copy.content) await core.around.media.remove(copy.content.uri).catch(() => undefined);
  }
}

async function renewDue(core: Core): Promise<boolean> {
  let answered = true;
  for (const copy of await core.db.copies()) {
    const check = await core.lease(copy);
    if (check.kind !== 'genuine' || copy.closed) continue;
    const now = core.nowMs();
    const refused = copy.renewalRefused;
    if (refused?.term === check.lease.term && now < refused.untilMs) continue;
    if (nextStep(check.lease, core.knowledge(copy, check.lease), now).do !== 'renew') continue;
    const outcome = await renew(core, copy.license, true);
    if (outcome.kind === 'unreachable') answered = false;
  }
  return answered;
}
