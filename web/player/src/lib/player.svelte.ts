// What the pages of a signed-in member share. It asks the SDK and shows; it decides nothing.

import {
  openDatabase,
  openDevice,
  shakaMedia,
  type Device,
  type DeviceEntry,
  type Download,
  type Failure,
  type Remedy,
  type Title,
} from '@carnet/sdk';

import { browserName, sentence } from './format';
import { signIn, storeSession, type Member, type Session } from './session';

const SYNC_EVERY_MS = 15 * 60_000;

/** A refusal on show, and what to do again once a remedy was performed. */
export interface Refused {
  readonly heading: string;
  readonly failure: Extract<Failure, { kind: 'problem' }>;
  readonly retry: () => Promise<void>;
}

export class Player {
  readonly member: Member;
  readonly device: Device;
  #titles = $state.raw<readonly Title[] | undefined>();
  #downloads = $state.raw<readonly Download[]>([]);
  #devices = $state.raw<readonly DeviceEntry[]>([]);
  #online = $state(true);
  #now = $state(Date.now());
  #refused = $state.raw<Refused | undefined>();
  #message = $state('');
  #trouble = $state('');
  #busy = $state.raw<ReadonlySet<string>>(new Set());
  #cancels = new Map<string, AbortController>();
  #closed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #messageTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(member: Member, device: Device) {
    this.member = member;
    this.device = device;
    device.onChange(() => void this.refresh());
    device.onNotice((notice) => {
      if (notice.kind === 'device_removed') {
        this.say('This device was removed from your devices, and its downloads with it.');
      } else {
        this.say(`No longer on this device: ${notice.titles.join(', ')}.`);
      }
    });
  }

  get titles(): readonly Title[] | undefined {
    return this.#titles;
  }
  get downloads(): readonly Download[] {
    return this.#downloads;
  }
  get devices(): readonly DeviceEntry[] {
    return this.#devices;
  }
  get online(): boolean {
    return this.#online;
  }
  get now(): number {
    return this.#now;
  }
  get refused(): Refused | undefined {
    return this.#refused;
  }
  /** One passing sentence. */
  get message(): string {
    return this.#message;
  }
  /** Why there is no catalogue. */
  get trouble(): string {
    return this.#trouble;
  }

  title(id: string): Title | undefined {
    return (
      this.#titles?.find((title) => title.id === id) ??
      this.#downloads.find((download) => download.title.id === id)?.title
    );
  }
  /** What is being stored and how far it is, in quarters: to be said aloud, and not too often. */
  get storing(): string {
    const storing = this.#downloads.filter(({ state }) => state === 'storing');
    return storing.map(({ title, progress }) => `${title.name}: ${Math.floor(progress * 4) * 25} %`).join(', ');
  }

  downloadOf(title: string): Download | undefined {
    return this.#downloads.find((download) => download.title.id === title);
  }
  deviceName(id: string | undefined): string {
    if (id === this.device.id) return 'this device';
    return this.#devices.find((entry) => entry.device === id)?.name ?? 'another device';
  }
  /** Whether something is under way for a title, a license or a device. */
  busy(what: string): boolean {
    return this.#busy.has(what);
  }

  async start(): Promise<void> {
    await this.refresh();
    // At once: a connection that hangs would keep us waiting for what we have.
    this.#titles = await this.device.keptCatalogue();
    await this.loadTitles();
    await this.loadDevices();
  }

  async loadTitles(): Promise<void> {
    const answer = await this.device.catalogue();
    if (answer.kind === 'ok') this.#titles = answer.value.titles;
    this.#trouble = answer.kind === 'ok' ? '' : inWords(answer);
  }

  async loadDevices(): Promise<void> {
    const answer = await this.device.devices();
    if (answer.kind === 'ok') this.#devices = answer.value.devices;
  }

  /** Reads the copies again, and once more when their words will have changed. */
  async refresh(): Promise<void> {
    if (this.#closed) return;
    this.#downloads = await this.device.downloads();
    this.#now = this.device.nowMs();
    if (this.device.reachable() && !this.#online && this.#trouble !== '') void this.loadTitles();
    this.#online = this.device.reachable() || !this.#started();
    const ends = this.#downloads.map(({ permission }) =>
      permission.may === 'play' ? (permission.end?.atMs ?? Infinity) : Infinity,
    );
    const soonest = Math.min(Infinity, ...ends) - this.#now;
    clearTimeout(this.#timer);
    if (!this.#closed) this.#timer = setTimeout(() => void this.refresh(), soonest < 150_000 ? 1_000 : 15_000);
  }

  /** Until the first answer we do not know, and do not alarm anyone. */
  #started(): boolean {
    return this.#titles !== undefined || this.#trouble !== '';
  }

  say(message: string, warnings: readonly string[] = []): void {
    this.#message = [message, ...warnings].join(' ');
    clearTimeout(this.#messageTimer);
    this.#messageTimer = setTimeout(() => (this.#message = ''), 5_000);
  }

  async download(title: Title): Promise<void> {
    const cancel = new AbortController();
    this.#cancels.set(title.id, cancel);
    await this.#during(title.id, async () => {
      void keepArtwork(title);
      const outcome = await this.device.download(title.id, { signal: cancel.signal });
      if (outcome.kind === 'ok') this.say(`${title.name} is on this device.`, outcome.value.warnings);
      else this.#show(`${title.name} was not downloaded`, outcome, () => this.download(title));
    });
    await this.loadDevices();
  }

  cancelDownload(title: string): void {
    this.#cancels.get(title)?.abort();
  }

  async renew(download: Download): Promise<void> {
    await this.#during(download.license, async () => {
      const outcome = await this.device.renew(download.license);
      if (outcome.kind === 'ok') this.say(`${download.title.name} is renewed.`, outcome.value.warnings);
      else {
        const heading = `${download.title.name} was not renewed`;
        this.#show(heading, outcome, () => this.renew(download));
      }
    });
  }

  async remove(download: Download): Promise<void> {
    this.cancelDownload(download.title.id);
    await this.#during(download.license, () => this.device.remove(download.license));
    this.say(`${download.title.name} was deleted from this device.`);
  }

  async removeDevice(entry: DeviceEntry): Promise<void> {
    await this.#during(entry.device, async () => {
      const answer = await this.device.removeDevice(entry.device);
      if (answer.kind === 'ok') this.say(`${entry.name} was removed.`);
      else this.#show(`${entry.name} was not removed`, answer, () => this.removeDevice(entry));
      await this.device.sync();
      await this.loadDevices();
    });
  }

  async perform(remedy: Remedy): Promise<void> {
    const refused = this.#refused;
    await this.#during('remedy', async () => {
      const answer = await this.device.perform(remedy);
      if (answer.kind !== 'ok') return this.say(inWords(answer));
      this.#refused = undefined;
      await refused?.retry();
    });
  }

  dismiss(): void {
    this.#refused = undefined;
  }

  #show(heading: string, failure: Failure, retry: () => Promise<void>): void {
    if (failure.kind === 'failed' && failure.reason === 'cancelled') return;
    if (failure.kind === 'problem') this.#refused = { heading, failure, retry };
    else this.say(`${heading}. ${inWords(failure)}`);
  }

  async #during(what: string, work: () => Promise<void>): Promise<void> {
    this.#busy = new Set([...this.#busy, what]);
    try {
      await work();
    } catch (error) {
      console.error('carnet: it did not work out', what, error);
      this.say('That did not work. Try again, or load the page again.');
    } finally {
      this.#busy = new Set([...this.#busy].filter((one) => one !== what));
      await this.refresh();
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const cancel of this.#cancels.values()) cancel.abort();
    this.device.close();
  }
}

export function inWords(failure: Failure): string {
  switch (failure.kind) {
    case 'problem':
      return sentence(failure.problem.detail ?? failure.problem.title);
    case 'unreachable':
      return 'The service cannot be reached just now.';
    case 'failed':
      return sentence(failure.message);
  }
}

/** `lost`: nothing can be kept or read any more, until the page is loaded again. */
export async function openPlayer(session: Session, lost: () => void): Promise<Player> {
  const { member } = session;
  let token = session.token;
  const device = await openDevice({
    base: location.origin,
    member: member.id,
    deviceName: browserName(navigator.userAgent),
    database: await openDatabase(`carnet ${member.id}`, lost),
    media: shakaMedia,
    fetch: (input, init) => fetch(input, init),
    token: async (fresh) => {
      if (fresh) {
        const renewed = await signIn(member);
        storeSession(renewed);
        token = renewed.token;
      }
      return token;
    },
    reading: () => ({ deviceMs: Date.now(), steadyMs: performance.now() }),
    random: Math.random,
    locks: navigator.locks,
    syncEveryMs: SYNC_EVERY_MS,
  });
  return new Player(member, device);
}

/** The service worker keeps every image that is shown; what is downloaded is kept in any case. */
async function keepArtwork({ images }: Title): Promise<void> {
  const urls = [images.poster?.url, images.backdrop?.url].filter((url) => url !== undefined);
  await Promise.all(urls.map((url) => new Promise((done) => {
    const image = new Image();
    image.onload = image.onerror = done;
    image.src = url;
  })));
}
