// The copies on this device: acquired, stored, renewed, deleted. The license comes first, the bytes
// after it: a refused title is not downloaded.

import { fromBase64, fromHex, toBase64, toBase64Url, utf8 } from './bytes';
import { saysCode, warnings, type LicenseAnswer, type PlaybackContext, type Problem, type Title } from './contract';
import { failed, type Core, type Failure, type Given, type Outcome } from './core';
import type { Copy } from './database';
import type { Answer } from './http';
import { firstPlayedAtMs, mayPlay, renewalOpen, type Lease, type Permission } from './lease';
import { CLEAR_KEY, type Stored } from './media';
import { underIntent } from './renewal';
import { sendOutbox, sendReleases } from './sync';
import { permissionInWords } from './words';

/** A copy as a page shows it. */
export interface Download {
  readonly license: string;
  readonly title: Title;
  readonly state: 'storing' | 'stored' | 'incomplete';
  /** From 0 to 1, while storing. */
  readonly progress: number;
  readonly bytes: number;
  readonly permission: Permission;
  /** The governing clock and its time left. */
  readonly words: string;
  /** From 1 when the governing clock began to 0 at its end; absent when nothing ends it. */
  readonly left?: number;
  readonly term: number;
  readonly started: boolean;
  /** Whether asking for a renewal now can be of use. */
  readonly renewable: boolean;
  /** Over for good: to be downloaded anew, or deleted. */
  readonly closed: boolean;
}

export interface DownloadOptions {
  readonly signal?: AbortSignal;
}

/** Copies that this page is storing just now, with their progress. */
export type Storing = Map<string, number>;

export async function listDownloads(core: Core, storing: Storing): Promise<Download[]> {
  const copies = await core.db.copies();
  const views = await Promise.all(copies.map((copy) => view(core, copy, storing)));
  return views.sort((a, b) => a.title.name.localeCompare(b.title.name));
}

async function view(core: Core, copy: Copy, storing: Storing): Promise<Download> {
  const { license, title, content } = copy;
  const progress = storing.get(license);
  const closed = copy.closed ?? false;
  const shared = {
    license,
    title,
    state: content ? 'stored' : progress === undefined ? 'incomplete' : 'storing',
    progress: content ? 1 : (progress ?? 0),
    bytes: content?.bytes ?? 0,
  } as const;
  const check = await core.lease(copy);
  if (check.kind !== 'genuine') {
    const permission = { may: 'not', ended: { clock: 'check_in', atMs: 0 } } as const;
    const words = 'Its license could not be verified: go online to bring it back';
    return { ...shared, permission, words, term: 0, started: false, renewable: true, closed };
  }
  const { lease } = check;
  const knowledge = core.knowledge(copy, lease);
  const now = core.nowMs();
  const permission = mayPlay(lease, knowledge, now);
  const left = fractionLeft(lease, permission, firstPlayedAtMs(lease, knowledge), now);
  return {
    ...shared,
    permission,
    words: permissionInWords(permission, now),
    ...(left !== undefined && { left }),
    term: lease.term,
    started: firstPlayedAtMs(lease, knowledge) !== undefined,
    renewable: !closed && renewalOpen(lease, knowledge, now),
    closed,
  };
}

function fractionLeft(
  lease: Lease,
  permission: Permission,
  firstPlayMs: number | undefined,
  nowMs: number,
): number | undefined {
  if (permission.may === 'not') return 0;
  if (permission.may === 'wait' || !permission.end) return undefined;
  const { clock, atMs } = permission.end;
  const since = { start: lease.startedAtMs, finish: firstPlayMs, check_in: lease.issuedAtMs };
  const fromMs = (clock === 'hard_end' ? undefined : since[clock]) ?? lease.startedAtMs;
  return Math.min(1, Math.max(0, (atMs - nowMs) / Math.max(1, atMs - fromMs)));
}

export async function download(
  core: Core,
  storing: Storing,
  title: string,
  { signal }: DownloadOptions,
): Promise<Outcome<Given>> {
  const outcome = await core.alone(`download ${title}`, async (): Promise<Outcome<Given>> => {
    // A release that is still queued would close the license that we are about to get again.
    if (!(await sendReleases(core, (queued) => queued.title === title))) {
      return { kind: 'unreachable', why: 'a release of this title is not told yet' };
    }
    const acquired = await acquire(core, title);
    if (acquired.kind !== 'ok') return acquired;
    const { copy, manifest, given } = acquired.value;
    const filled = copy.content ? undefined : await fill(core, storing, copy, manifest, signal);
    return filled && filled.kind !== 'ok' ? filled : { kind: 'ok', value: given };
  });
  core.changed();
  return outcome ?? failed('busy', 'this title is being downloaded in another tab');
}

interface Acquired {
  readonly copy: Copy;
  readonly manifest: string;
  readonly given: Given;
}

async function acquire(core: Core, title: string): Promise<Outcome<Acquired>> {
  const context = await playbackContext(core, title, 'download');
  if (context.kind !== 'ok') return context;
  const manifest = context.value.streams.dash ?? context.value.streams.hls;
  if (manifest === undefined) return failed('media', 'the title has no stream');

  const answer = await askForLicense(core, context.value);
  if (answer.kind !== 'ok') return answer;
  const { license, lease, drm, drm_error: drmError } = answer.value;
  if (drmError) return { kind: 'problem', problem: drmError };
  if (lease === undefined || drm === undefined) return failed('lease', 'the answer has no license');
  const check = await core.verifyNew(lease);
  if (check.kind !== 'genuine') return failed('lease', 'the lease is not signed by the server');

  const taken = { license: license.id, title: context.value.title, lease, drm: drm.body };
  const copy = await core.db.takeCopy(taken);
  core.changed();
  return { kind: 'ok', value: { copy, manifest, given: { warnings: warnings(answer.value) } } };
}

/**
 * A lost answer is asked for again under the key of the first try, so that it counts once. When what
 * was decided then is of no use any more, it is asked for anew: what this device holds is re-issued.
 */
async function askForLicense(
  core: Core,
  context: PlaybackContext,
): Promise<Answer<LicenseAnswer>> {
  const title = context.title.id;
  const body = { device: core.device, title, challenge: clearKeyChallenge(context) };
  const ask = (): Promise<Answer<LicenseAnswer>> =>
    underIntent(core, `acquire ${title}`, (idempotencyKey) =>
      core.api('POST /v1/licenses', { body, idempotencyKey }),
    );
  let answer = await ask();
  if (answer.kind === 'problem' && isUnregistered(answer.problem)) {
    const registered = await register(core);
    if (registered.kind !== 'ok') return registered;
    answer = await ask();
  }
  const stale = answer.kind === 'ok' && answer.value.decision.repeated && !answer.value.lease;
  return stale ? ask() : answer;
}

/** To download here is to say that this is one of the member's devices: again, if it was removed. */
function isUnregistered(problem: Problem): boolean {
  return saysCode(problem, 'device_unknown') || saysCode(problem, 'device_removed');
}

/** Makes this browser one of the member's devices; does nothing when it is one. */
export function register(core: Core): Promise<Answer<unknown>> {
  const { deviceName } = core.around;
  const jwk = { ...core.key.jwk };
  return core.api('POST /v1/devices', { body: { device: core.device, name: deviceName, class: 'web', jwk } });
}

export function playbackContext(
  core: Core,
  title: string,
  intent: 'stream' | 'download',
): Promise<Answer<PlaybackContext>> {
  const query = { intent, device: core.device };
  return core.api('GET /v1/titles/{title}/playback-context', { path: { title }, query });
}

/** What the CDM of a browser would ask: a temporary session, for the app keeps the license. */
function clearKeyChallenge(context: PlaybackContext): { system: string; body: string } {
  const kids = Object.values(context.key_ids).map((hex) => toBase64Url(fromHex(hex) ?? utf8('')));
  const request = JSON.stringify({ kids, type: 'temporary' });
  return { system: CLEAR_KEY, body: toBase64(utf8(request)) };
}

async function fill(
  core: Core,
  storing: Storing,
  copy: Copy,
  manifest: string,
  signal: AbortSignal | undefined,
): Promise<Outcome<void>> {
  const drm = fromBase64(copy.drm);
  if (!drm) return failed('lease', 'the DRM license is not base64');
  const onProgress = (done: number): void => {
    storing.set(copy.license, done);
    core.changed();
  };
  onProgress(0);
  const { media, base, member: owner } = core.around;
  const { license } = copy;
  const url = new URL(manifest, base).href;
  const stored = await media
    .store({ manifest: url, owner, title: copy.title.id, license, drm, onProgress, signal })
    .finally(() => storing.delete(license));
  if (stored.kind === 'stored') {
    const { uri, bytes } = stored;
    const content = { uri, bytes };
    if (await core.db.changeCopy(license, (kept) => ({ ...kept, content }))) {
      return { kind: 'ok', value: undefined };
    }
    // Deleted meanwhile, perhaps in another tab.
    await media.remove(uri);
    return failed('cancelled', 'the download was cancelled');
  }
  // A connection comes back, and then the license is still good; the other failures are for good.
  if (stored.kind !== 'unreachable') {
    await core.db.forgetCopy(license, true);
    await sendOutbox(core);
  }
  return storeFailure(stored);
}

function storeFailure(stored: Exclude<Stored, { kind: 'stored' }>): Failure {
  switch (stored.kind) {
    case 'cancelled':
      return failed('cancelled', 'the download was cancelled');
    case 'no_space':
      return failed('no_space', 'there is not enough space left for this title');
    case 'unreachable':
      return { kind: 'unreachable', why: 'the connection broke during the download' };
    case 'failed':
      return failed('media', stored.message);
  }
}

/** Removes bytes that no copy has: a tab that was closed in the middle leaves them behind. */
export async function sweep(core: Core): Promise<void> {
  const { media, member } = core.around;
  for (const { uri, owner, license } of await media.list()) {
    if (owner !== member) continue;
    const title = (await core.db.copy(license))?.title.id ?? '';
    // Unless they are just being stored, here or in another tab.
    await core.alone(`download ${title}`, async () => {
      const copies = await core.db.copies();
      if (!copies.some(({ content }) => content?.uri === uri)) await media.remove(uri);
    });
  }
  await media.removeStrays();
}
