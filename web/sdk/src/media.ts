// The edge to Shaka Player: fetches, stores and plays encrypted media. It knows no lease and no
// server of ours; whoever calls it has decided that something may be played.
//
// Chromium's Clear Key keeps no license over a reload. So the app keeps it, and hands it to the CDM
// through a network scheme of its own: Shaka asks `carnet-license://…` and never the network.

import type shaka from 'shaka-player/dist/shaka-player.compiled-es2021.js';

import type { Bytes } from './bytes';

export const CLEAR_KEY = 'org.w3.clearkey';

const HELD_SCHEME = 'carnet-license';

export interface StoreRequest {
  readonly manifest: string;
  /** Whose the stored bytes are: several members may use one browser. */
  readonly owner: string;
  readonly license: string;
  readonly drm: Bytes;
  /** From 0 to 1. */
  readonly onProgress: (done: number) => void;
  readonly signal: AbortSignal | undefined;
}

export type Stored =
  | { readonly kind: 'stored'; readonly uri: string; readonly bytes: number }
  | { readonly kind: 'cancelled' | 'no_space' | 'unreachable' }
  | { readonly kind: 'failed'; readonly message: string };

export type Source =
  | { readonly kind: 'held'; readonly uri: string; readonly license: string; readonly drm: Bytes }
  | {
      readonly kind: 'stream';
      readonly uri: string;
      readonly licenseUrl: string;
      /** What a license request carries: the grant and the device's proof. */
      readonly headers: () => Promise<Record<string, string>>;
    };

export interface Playing {
  /** Releases the picture and the keys. */
  unload(): Promise<void>;
}

export interface Media {
  store(request: StoreRequest): Promise<Stored>;
  remove(uri: string): Promise<void>;
  /** Everything that is stored here, whoever's. */
  list(): Promise<{ uri: string; owner: string; license: string }[]>;
  /** Resolves when the first picture can be shown. */
  load(video: HTMLVideoElement, source: Source, failed: (message: string) => void): Promise<Playing>;
}

type Shaka = typeof shaka;

/** The answers of our scheme, by the URL that Shaka is told to ask. */
const held = new Map<string, Bytes>();

let loading: Promise<Shaka> | undefined;

/** Shaka is larger than all the rest, and a page that lists downloads does not need it. */
function load(): Promise<Shaka> {
  loading ??= import('shaka-player/dist/shaka-player.compiled-es2021.js').then((module) => {
    const shaka = module.default;
    shaka.polyfill.installAll();
    shaka.net.NetworkingEngine.registerScheme(HELD_SCHEME, (uri, originalRequest) => {
      const data = held.get(uri)?.buffer;
      const answer = data
        ? Promise.resolve({ uri, originalUri: uri, originalRequest, headers: {}, data })
        : Promise.reject(new Error(`no license is held for \`${uri}\``));
      return shaka.util.AbortableOperation.notAbortable(answer);
    });
    return shaka;
  });
  return loading;
}

function hold(license: string, drm: Bytes): string {
  const url = `${HELD_SCHEME}://held/${encodeURIComponent(license)}`;
  held.set(url, drm);
  return url;
}

export const shakaMedia: Media = {
  async store({ manifest, owner, license, drm, onProgress, signal }) {
    const shaka = await load();
    const storage = new shaka.offline.Storage();
    try {
      storage.configure({
        drm: { servers: { [CLEAR_KEY]: hold(license, drm) } },
        offline: {
          usePersistentLicense: false,
          progressCallback: (_content: unknown, progress: number) => onProgress(progress),
        },
      });
      const operation = storage.store(manifest, { owner, license });
      const abort = (): void => void operation.abort();
      signal?.addEventListener('abort', abort);
      if (signal?.aborted) abort();
      try {
        const stored = await operation.promise;
        if (stored.offlineUri === null) return { kind: 'failed', message: 'nothing was stored' };
        return { kind: 'stored', uri: stored.offlineUri, bytes: stored.size };
      } finally {
        signal?.removeEventListener('abort', abort);
      }
    } catch (error) {
      return signal?.aborted ? { kind: 'cancelled' } : storeFailure(shaka, error);
    } finally {
      await storage.destroy();
    }
  },

  async remove(uri) {
    const shaka = await load();
    const storage = new shaka.offline.Storage();
    try {
      await storage.remove(uri);
    } finally {
      await storage.destroy();
    }
  },

  async list() {
    const shaka = await load();
    const storage = new shaka.offline.Storage();
    try {
      const contents = await storage.list();
      return contents.flatMap(({ offlineUri, appMetadata }) => {
        const { owner, license } = (appMetadata ?? {}) as { owner?: unknown; license?: unknown };
        return offlineUri !== null && typeof owner === 'string' && typeof license === 'string'
          ? [{ uri: offlineUri, owner, license }]
          : [];
      });
    } finally {
      await storage.destroy();
    }
  },

  async load(video, source, failed) {
    const shaka = await load();
    const player = new shaka.Player();
    await player.attach(video);
    const server = source.kind === 'held' ? hold(source.license, source.drm) : source.licenseUrl;
    player.configure({ drm: { servers: { [CLEAR_KEY]: server } } });
    if (source.kind === 'stream') {
      const { LICENSE } = shaka.net.NetworkingEngine.RequestType;
      player.getNetworkingEngine()?.registerRequestFilter(async (type, request) => {
        if (type === LICENSE) Object.assign(request.headers, await source.headers());
      });
    }
    player.addEventListener('error', (event) => {
      const error = (event as Event & { detail?: ShakaError }).detail;
      if (error?.severity === shaka.util.Error.Severity.CRITICAL) failed(inWords(error));
    });
    try {
      await player.load(source.uri);
    } catch (error) {
      await player.destroy();
      throw new Error(inWords(error as ShakaError), { cause: error });
    }
    return { unload: () => player.destroy() as Promise<void> };
  },
};

interface ShakaError {
  readonly severity?: number;
  readonly category?: number;
  readonly code?: number;
  readonly data?: readonly unknown[];
}

function storeFailure(shaka: Shaka, error: unknown): Stored {
  // What the browser's own store says is lost on the way; there is one usual reason for it.
  if (error === undefined) return { kind: 'no_space' };
  const { category, code } = error as ShakaError;
  const { Category, Code } = shaka.util.Error;
  if (code === Code.OPERATION_ABORTED) return { kind: 'cancelled' };
  if (code === Code.STORAGE_LIMIT_REACHED) return { kind: 'no_space' };
  if (category === Category.NETWORK) return { kind: 'unreachable' };
  return { kind: 'failed', message: inWords(error as ShakaError) };
}

/** A refused license request carries our problem document inside (codes 6007 and 1001). */
function inWords(error: ShakaError): string {
  const network = error.data?.[0] as ShakaError | undefined;
  const body = network?.data?.[2] ?? error.data?.[2];
  if (typeof body === 'string') {
    try {
      const problem = JSON.parse(body) as { detail?: string; title?: string };
      const text = problem.detail ?? problem.title;
      if (text !== undefined) return text;
    } catch {
      // Not a problem document: the code has to do.
    }
  }
  if (error.code === undefined) return String(error);
  return `the player gave up with code ${error.code}`;
}
