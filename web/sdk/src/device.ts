// The device: what an app does with the SDK. It opens one for its page and member, and asks it.

import type { DeviceEntry, Eligibility, LicenseDocument, Remedy, Title } from './contract';
import { openCore, type Core, type Given, type Notice, type Outcome, type Surroundings } from './core';
import * as downloads from './downloads';
import type { Answer } from './http';
import { nextMomentMs } from './lease';
import { backoffMs } from './outbox';
import { play, type Playback, type PlayOptions } from './playback';
import { renew } from './renewal';
import { release, remove, sendOutbox, sendReleases, sync } from './sync';

export interface Device {
  readonly id: string;
  /** Whether the server answered when it was last asked. */
  reachable(): boolean;
  nowMs(): number;
  onChange(listener: () => void): () => void;
  onNotice(listener: (notice: Notice) => void): () => void;

  catalogue(): Promise<Answer<{ titles: readonly Title[] }>>;
  /** The last catalogue that was read, at once and without a network. */
  keptCatalogue(): Promise<readonly Title[] | undefined>;
  eligibility(title: string): Promise<Answer<Eligibility>>;
  download(title: string, options?: downloads.DownloadOptions): Promise<Outcome<Given>>;
  downloads(): Promise<downloads.Download[]>;
  renew(license: string): Promise<Outcome<Given>>;
  /** Deletes the copy at once; the server hears of it as soon as it can. */
  remove(license: string): Promise<void>;
  play(video: HTMLVideoElement, title: string, options: PlayOptions): Promise<Outcome<Playback>>;

  /** All licenses of the member, on whichever device; not what is being given back. */
  licenses(): Promise<Answer<{ licenses: readonly LicenseDocument[] }>>;
  /** Gives licenses back, on whichever of the member's devices they are. */
  release(licenses: readonly string[]): Promise<Answer<unknown>>;
  /** Performs all actions of a remedy; after that the refused request passes. */
  perform(remedy: Remedy): Promise<Answer<unknown>>;
  devices(): Promise<Answer<{ devices: readonly DeviceEntry[] }>>;
  register(): Promise<Answer<unknown>>;
  removeDevice(device: string): Promise<Answer<unknown>>;
  sync(): Promise<void>;
  close(): void;
}

export async function openDevice(around: Surroundings): Promise<Device> {
  const core = await openCore(around);
  const storing: downloads.Storing = new Map();
  const keeping = keepInSync(core);
  void downloads.sweep(core).catch(() => undefined);

  return {
    id: core.device,
    reachable: core.reachable,
    nowMs: core.nowMs,
    onChange: core.onChange,
    onNotice: core.onNotice,
    catalogue: () => catalogue(core),
    keptCatalogue: () => core.db.value('catalogue'),
    eligibility: (title) =>
      core.api('GET /v1/titles/{title}/eligibility', {
        path: { title },
        query: { device: core.device },
      }),
    async download(title, options = {}) {
      // Without this a browser short of space may throw downloads away. Firefox asks the member, who
      // may let it wait.
      void navigator.storage?.persist?.().catch(() => false);
      const outcome = await downloads.download(core, storing, title, options);
      keeping.tell();
      return outcome;
    },
    downloads: () => downloads.listDownloads(core, storing),
    renew: (license) => renew(core, license),
    async remove(license) {
      await remove(core, license);
      keeping.tell();
    },
    async play(video, title, options) {
      const outcome = await play(core, video, title, options);
      keeping.tell();
      if (outcome.kind !== 'ok') return outcome;
      const { from, stop } = outcome.value;
      return { kind: 'ok', value: { from, stop: () => stop().finally(keeping.tell) } };
    },
    licenses: () => licenses(core),
    release: (licenses) => releaseAll(core, licenses),
    perform: (remedy) => perform(core, remedy),
    devices: () => core.api('GET /v1/devices', {}),
    register: () => downloads.register(core),
    removeDevice: (device) => removeDevice(core, device),
    sync: keeping.now,
    close() {
      keeping.stop();
      core.close();
    },
  };
}

async function catalogue(core: Core): Promise<Answer<{ titles: readonly Title[] }>> {
  const answer = await core.api('GET /v1/catalogue', {});
  if (answer.kind === 'ok') {
    // A full disk is no reason not to show it.
    await core.db.setValue('catalogue', answer.value.titles).catch(() => undefined);
  }
  return answer;
}

async function licenses(core: Core): Promise<Answer<{ licenses: readonly LicenseDocument[] }>> {
  const answer = await core.api('GET /v1/downloads', {});
  if (answer.kind !== 'ok') return answer;
  const queued = new Set((await core.db.oldestReleases()).map(({ license }) => license));
  return { kind: 'ok', value: { licenses: answer.value.licenses.filter(({ id }) => !queued.has(id)) } };
}

export async function perform(core: Core, { actions }: Remedy): Promise<Answer<unknown>> {
  for (const action of actions) {
    if (action.do !== 'remove_device') continue;
    const answer = await removeDevice(core, action.device);
    if (answer.kind !== 'ok') return answer;
  }
  return releaseAll(core, actions.flatMap((action) => (action.do === 'release' ? [action.license] : [])));
}

function removeDevice(core: Core, device: string): Promise<Answer<unknown>> {
  return core.api('DELETE /v1/devices/{device}', { path: { device } });
}

async function releaseAll(core: Core, licenses: readonly string[]): Promise<Answer<unknown>> {
  for (const license of licenses) {
    if (await core.db.copy(license)) {
      await remove(core, license);
    } else {
      const answer = await release(core, license);
      if (answer.kind !== 'ok') return answer;
    }
  }
  return (await sendReleases(core, ({ license }) => licenses.includes(license)))
    ? { kind: 'ok', value: undefined }
    : { kind: 'unreachable', why: 'a release is not told yet' };
}

/** Between two rounds, whatever the clocks say. */
const PAUSE_MS = 500;

/** Whoever looks at the page again after a while sees what is true now. */
const REST_MS = 5 * 60_000;

interface Keeping {
  /** Everything, the check-in included. */
  now(): Promise<void>;
  /** Only what there is to tell: every check-in is a fact for the ledger to keep. */
  tell(): void;
  stop(): void;
}

/** Syncs at the start, when the network comes back, when a lease has its moment, and now and then. */
function keepInSync(core: Core): Keeping {
  const { syncEveryMs, random, reading } = core.around;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;
  let running: Promise<void> | undefined;
  let stopped = false;
  let syncedMs = -Infinity;

  async function planNext(done: boolean): Promise<void> {
    if (stopped) return;
    failures = done ? 0 : failures + 1;
    const regular = syncEveryMs - (reading().steadyMs - syncedMs);
    const wait = done ? regular : Math.min(backoffMs(failures, random()), syncEveryMs);
    const inMs = Math.max(PAUSE_MS, Math.min(wait, await untilNextMoment(core).catch(() => Infinity)));
    clearTimeout(timer);
    if (!stopped) timer = setTimeout(() => void now(), inMs);
  }

  function now(): Promise<void> {
    running ??= run().finally(() => {
      running = undefined;
    });
    return running;
  }

  async function run(): Promise<void> {
    const done = await sync(core).catch(failed);
    syncedMs = reading().steadyMs;
    await planNext(done !== false);
  }

  const tell = (): void => void sendOutbox(core).catch(failed).then(planNext);
  const onOnline = (): void => void now();
  const onVisible = (): void => {
    const wanted = failures > 0 || reading().steadyMs - syncedMs > REST_MS;
    if (document.visibilityState === 'visible' && wanted) void now();
  };
  addEventListener('online', onOnline);
  document.addEventListener('visibilitychange', onVisible);
  void now();
  return {
    now,
    tell,
    stop() {
      stopped = true;
      clearTimeout(timer);
      removeEventListener('online', onOnline);
      document.removeEventListener('visibilitychange', onVisible);
    },
  };
}

function failed(error: unknown): false {
  console.error('carnet: syncing failed', error);
  return false;
}

async function untilNextMoment(core: Core): Promise<number> {
  const now = core.nowMs();
  let wait = Infinity;
  for (const copy of await core.db.copies()) {
    const check = await core.lease(copy);
    if (check.kind !== 'genuine') continue;
    const at = nextMomentMs(check.lease, core.knowledge(copy, check.lease), now);
    if (at !== undefined) wait = Math.min(wait, at - now);
  }
  return wait;
}
