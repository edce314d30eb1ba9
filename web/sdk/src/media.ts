// The edge to Shaka Player: fetches, stores and plays encrypted media. It knows no lease and no
// server of ours; whoever calls it has decided that something may be played.
//
// Chromium's Clear Key keeps no license over a reload. So the app keeps it, and hands it to the CDM
// through a network scheme of its own: Shaka asks `carnet-license://…` and never the network.

import type shaka from 'shaka-player/dist/shaka-player.compiled-es2021.js';

import type { Bytes } from './bytes';
import { removeStrays, whileStoring } from './strays';

export const CLEAR_KEY = 'org.w3.clearkey';

const HELD_SCHEME = 'carnet-license';

export interface StoreRequest {
  readonly manifest: string;
  /** Whose the stored bytes are: several members may use one browser. */
  readonly owner: string;
  readonly title: string;
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
  | { readonly kind: 'held'; readonly uri: string; readonly title: string; readonly drm: Bytes }
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
  /** Removes what an interrupted `store` has left beside the list. */
  removeStrays(): Promise<void>;
  /** Resolves when the first picture can be shown. */
  load(video: HTMLVideoElement, source: Source, failed: (message: string) => void): Promise<Playing>;
}

type Shaka = typeof shaka;

const RETRY_DELAY_SECONDS = 1;

/** The answers of our scheme, by the URL that Shaka is told to ask, as long as somebody needs them. */
const held = new Map<string, Bytes>();

let loading: Promise<Shaka> | undefined;

/** Shaka is larger than all the rest: it comes after the page. */
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
  // The next who asks tries again.
  loading.catch(() => (loading = undefined));
  return loading;
}

/** By title: Shaka stores the URL with the bytes, and they are good for every license of the title. */
function hold(title: string, drm: Bytes): string {
  const url = `${HELD_SCHEME}://held/${encodeURIComponent(title)}`;
  held.set(url, drm);
  return url;
}

/** Unless somebody has come to need it since. */
function letGo(url: string, drm: Bytes): void {
  if (held.get(url) === drm) held.delete(url);
}

export const shakaMedia: Media = {
  async store({ manifest, owner, title, license, drm, onProgress, signal }) {
    const shaka = await load().catch(() => undefined);
    if (!shaka) return { kind: 'unreachable' };
    const storage = new shaka.offline.Storage();
    const server = hold(title, drm);
    try {
      storage.configure({
        drm: { servers: { [CLEAR_KEY]: server } },
        offline: {
          usePersistentLicense: false,
          progressCallback: (_content: unknown, progress: number) => onProgress(progress),
        },
      });
      const stored = await whileStoring(() => {
        const operation = storage.store(manifest, { owner, license });
        const abort = (): void => void operation.abort();
        signal?.addEventListener('abort', abort, { once: true });
        if (signal?.aborted) abort();
        return operation.promise;
      });
      if (stored.offlineUri === null) return { kind: 'failed', message: 'nothing was stored' };
      return { kind: 'stored', uri: stored.offlineUri, bytes: stored.size };
    } catch (error) {
      return signal?.aborted ? { kind: 'cancelled' } : storeFailure(shaka, error);
    } finally {
      letGo(server, drm);
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

  removeStrays,

  async load(video, source, failed) {
    const shaka = await load().catch((error: unknown) => {
      throw new Error('The player could not be loaded; try again with a connection', { cause: error });
    });
    const player = new shaka.Player();
    const server = source.kind === 'held' ? hold(source.title, source.drm) : source.licenseUrl;
    const unload = async (): Promise<void> => {
      if (source.kind === 'held') letGo(server, source.drm);
      await player.destroy();
    };
    player.configure({
      drm: { servers: { [CLEAR_KEY]: server } },
      streaming: {
        // A tunnel is no reason to give up: Shaka would, of all but live streams.
        failureCallback: (error: shaka.util.Error) => {
          if (!isOutOfReach(shaka, error)) return;
          error.severity = shaka.util.Error.Severity.RECOVERABLE;
          player.retryStreaming(RETRY_DELAY_SECONDS);
        },
      },
    });
    if (source.kind === 'stream') {
      const { LICENSE } = shaka.net.NetworkingEngine.RequestType;
      player.getNetworkingEngine()?.registerRequestFilter(async (type, request) => {
        if (type === LICENSE) Object.assign(request.headers, await source.headers());
      });
    }
    player.addEventListener('error', (event) => {
      const error = (event as Event & { detail?: ShakaError }).detail;
      if (error?.severity !== shaka.util.Error.Severity.CRITICAL) return;
      console.error('carnet: the player gave up', error);
      failed(inWords(shaka, error));
    });
    try {
      await player.attach(video);
      await player.load(source.uri);
    } catch (error) {
      await unload();
      throw new Error(inWords(shaka, error as ShakaError), { cause: error });
    }
    return { unload };
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
  return { kind: 'failed', message: inWords(shaka, error as ShakaError) };
}

function isOutOfReach(shaka: Shaka, { code }: ShakaError): boolean {
  const { Code } = shaka.util.Error;
  return code === Code.HTTP_ERROR || code === Code.TIMEOUT;
}

/** A refused license request carries our problem document inside (codes 6007 and 1001). */
function inWords(shaka: Shaka, error: ShakaError): string {
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
  const { Category } = shaka.util.Error;
  if (error.category === Category.NETWORK) return 'The connection broke';
  if (error.category === Category.STORAGE) {
    return 'What was stored of it is damaged or gone; delete it, then download it again';
  }
  return `This browser cannot play it (${error.code === undefined ? String(error) : `code ${error.code}`})`;
}
