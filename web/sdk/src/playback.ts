// Playing: from the store when the title is here, else as a stream. What happened is recorded before
// it is told, and the lease is asked again every second.

import { fromBase64 } from './bytes';
import type { SessionEventType } from './contract';
import { failed, type Core, type Outcome } from './core';
import type { Copy } from './database';
import { playbackContext } from './downloads';
import { mayGoOn, mayPlay, type Lease } from './lease';
import { CLEAR_KEY, type Playing, type Source } from './media';
import { permissionInWords } from './words';

const KEEP_ALIVE_MS = 60_000;
const LOOK_AT_LEASE_MS = 1_000;
const KEEP_TIME_MS = 10_000;

export interface Playback {
  readonly from: 'store' | 'stream';
  /** Ends the session and releases the picture. */
  stop(): Promise<void>;
}

export interface PlayOptions {
  /** The lease ended while playing, or the media could not go on. */
  readonly onEnd: (why: string) => void;
}

/** What is being played, as its session events name it. */
interface Subject {
  readonly title: string;
  readonly held?: { readonly copy: Copy; readonly lease: Lease };
}

export async function play(
  core: Core,
  video: HTMLVideoElement,
  title: string,
  options: PlayOptions,
): Promise<Outcome<Playback>> {
  const copy = (await core.db.copies()).find((held) => held.title.id === title && held.content);
  const held = copy && (await playCopy(core, video, copy, options));
  if (held && !(held.kind === 'failed' && held.reason === 'lease')) return held;
  // What its lease does not let us play may still be streamed.
  const streamed = await playStream(core, video, title, options);
  return held && streamed.kind === 'unreachable' ? held : streamed;
}

async function playCopy(
  core: Core,
  video: HTMLVideoElement,
  copy: Copy,
  options: PlayOptions,
): Promise<Outcome<Playback>> {
  const check = await core.lease(copy);
  if (check.kind !== 'genuine') {
    return failed('lease', 'The license of this copy could not be verified');
  }
  const { lease } = check;
  const permission = mayPlay(lease, core.knowledge(copy, lease), core.nowMs());
  if (permission.may !== 'play') return failed('lease', permissionInWords(permission, core.nowMs()));
  const drm = fromBase64(copy.drm);
  if (!drm || !copy.content) return failed('media', 'This copy is not complete');
  const source: Source = { kind: 'held', uri: copy.content.uri, title: copy.title.id, drm };
  return begin(core, video, { title: copy.title.id, held: { copy, lease } }, source, options);
}

async function playStream(
  core: Core,
  video: HTMLVideoElement,
  title: string,
  options: PlayOptions,
): Promise<Outcome<Playback>> {
  const context = await playbackContext(core, title, 'stream');
  if (context.kind !== 'ok') return context;
  const { streams, drm, grant } = context.value;
  const manifest = streams.dash ?? streams.hls;
  const server = drm.find(({ system }) => system === CLEAR_KEY);
  if (manifest === undefined || !server || grant === undefined) {
    return failed('media', 'This title cannot be played in this browser');
  }
  const licenseUrl = new URL(server.license_url, core.around.base).href;
  const source: Source = {
    kind: 'stream',
    uri: new URL(manifest, core.around.base).href,
    licenseUrl,
    headers: async () => ({
      authorization: `Bearer ${grant}`,
      dpop: await core.key.proof('POST', licenseUrl, grant, core.nowMs()),
    }),
  };
  return begin(core, video, { title }, source, options);
}

async function begin(
  core: Core,
  video: HTMLVideoElement,
  subject: Subject,
  source: Source,
  options: PlayOptions,
): Promise<Outcome<Playback>> {
  let playing: Playing;
  let playback: Playback | undefined;
  let over = false;
  const end = (why: string): void => {
    if (over) return;
    over = true;
    void playback?.stop();
    options.onEnd(why);
  };
  try {
    playing = await core.around.media.load(video, source, end);
  } catch (error) {
    return failed('media', error instanceof Error ? error.message : String(error));
  }
  const session = startSession(core, video, subject, end);
  playback = {
    from: source.kind === 'held' ? 'store' : 'stream',
    async stop() {
      over = true;
      await session.stop();
      await playing.unload();
    },
  };
  try {
    // The picture waits for the record: a play that nobody heard of would be one for free.
    await session.record('start');
  } catch (error) {
    console.error('carnet: a play could not be recorded', error);
    await playback.stop();
    return failed('no_space', 'There is no room left on this device to note that it is played');
  }
  // A browser may want the member to press play; the video's own controls are there for that.
  await video.play().catch(() => undefined);
  return { kind: 'ok', value: playback };
}

interface Session {
  record(type: SessionEventType): Promise<void>;
  stop(): Promise<void>;
}

function startSession(
  core: Core,
  video: HTMLVideoElement,
  { title, held }: Subject,
  end: (why: string) => void,
): Session {
  const session = crypto.randomUUID();
  let stopped = false;
  let paused = false;
  let told = core.nowMs();
  let timed = told;

  async function record(type: SessionEventType): Promise<void> {
    const behind = core.behindMs();
    const offset = core.offsetMs();
    told = core.nowMs();
    await core.db.record(
      {
        session,
        title,
        type,
        device_at: new Date(core.deviceMs()).toISOString(),
        position_ms: Math.round(video.currentTime * 1000),
        ...(held && { license: held.copy.license, term: held.lease.term }),
        ...(offset !== undefined && { clock_offset_ms: offset }),
        ...(behind > 0 && { clock_behind_ms: behind }),
      },
      told,
    );
    core.changed();
  }

  async function look(): Promise<void> {
    const now = core.nowMs();
    if (now - timed >= KEEP_TIME_MS) {
      timed = now;
      await core.keepTime();
    }
    if (!video.paused && now - told >= KEEP_ALIVE_MS) await note('keep_alive');
    const why = held && (await objection(held.copy.license, now));
    if (why !== undefined) end(why);
  }

  /** A renewal beside the play, or a check-in, may have put a later lease beside the copy. */
  async function objection(license: string, now: number): Promise<string | undefined> {
    const copy = await core.db.copy(license);
    const check = copy && (await core.lease(copy));
    if (!copy || check?.kind !== 'genuine') return 'It is no longer on this device';
    const permission = mayGoOn(check.lease, core.knowledge(copy, check.lease), now);
    return permission.may === 'not' ? permissionInWords(permission, now) : undefined;
  }

  /** Of a play that was recorded, more is good to know and nothing to stop it for. */
  async function note(type: SessionEventType): Promise<void> {
    await record(type).catch((error: unknown) => console.warn('carnet: not recorded', type, error));
  }

  const onPause = (): void => {
    paused = true;
    void note('pause');
  };
  const onPlay = (): void => {
    if (paused) void note('resume');
    paused = false;
  };
  // The record is written if the browser lets us, and a play without an end is one all the same. A
  // page that a browser keeps and shows again must not go on where nobody is looking at the lease.
  const onLeave = (): void => end('Playing stopped when the page was left');
  video.addEventListener('pause', onPause);
  video.addEventListener('play', onPlay);
  addEventListener('pagehide', onLeave);
  // Nothing plays whose lease cannot be looked at.
  const onBlind = (error: unknown): void => {
    console.error('carnet: the lease could not be read', error);
    end('What this device keeps cannot be read any more; load the page again');
  };
  const timer = setInterval(() => void look().catch(onBlind), LOOK_AT_LEASE_MS);

  async function stop(): Promise<void> {
    if (stopped) return;
    stopped = true;
    clearInterval(timer);
    video.removeEventListener('pause', onPause);
    video.removeEventListener('play', onPlay);
    removeEventListener('pagehide', onLeave);
    await note('stop');
    await core.keepTime().catch(() => undefined);
  }

  return { record, stop };
}
