// Keeps the page itself, so that it opens with the server out of reach. It keeps no media and no
// answers of the API: copies and their licenses are the SDK's.

const scope = self as unknown as ServiceWorkerGlobalScope;

/** Both are put in by the build. */
const SHELL = '__SHELL__' as unknown as readonly string[];
const SHELL_CACHE = 'carnet-shell-__VERSION__';

/** A connection that hangs is none: then the page that we have is shown. */
const PAGE_WAIT_MS = 4_000;

const ARTWORK_CACHE = 'carnet-artwork';
const ARTWORK_IMAGES_MAX = 300;

scope.addEventListener('install', (event) => {
  event.waitUntil(
    caches
      .open(SHELL_CACHE)
      .then((cache) => cache.addAll(SHELL.map((path) => new Request(path, { cache: 'reload' })))),
  );
});

// A new worker waits until the last page of the old shell is closed, so that no open page loses the
// files that it has yet to load.
scope.addEventListener('activate', (event) => {
  event.waitUntil(dropOldShells().then(() => scope.clients.claim()));
});

scope.addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET') return;
  const url = new URL(request.url);
  const ours = url.origin === scope.location.origin;
  if (request.mode === 'navigate') {
    if (ours && url.pathname === '/') event.respondWith(page(request));
  } else if (ours && SHELL.includes(url.pathname)) {
    event.respondWith(shellFile(request, url.pathname));
  } else if (request.destination === 'image') {
    event.respondWith(artwork(request));
  }
});

/** The newest page when there is one to be had, for its names lead to all the rest. */
async function page(request: Request): Promise<Response> {
  const cache = await caches.open(SHELL_CACHE);
  const fetched = fetch(request).catch(() => undefined);
  const response = await Promise.race([fetched, pause(PAGE_WAIT_MS)]);
  if (response?.ok) return response;
  return (await cache.match('/')) ?? (await fetched) ?? Response.error();
}

function pause(ms: number): Promise<undefined> {
  return new Promise((done) => setTimeout(done, ms, undefined));
}

async function shellFile(request: Request, path: string): Promise<Response> {
  const cache = await caches.open(SHELL_CACHE);
  return (await cache.match(path)) ?? fetch(request);
}

async function artwork(request: Request): Promise<Response> {
  const cache = await caches.open(ARTWORK_CACHE);
  const kept = await cache.match(request);
  if (kept) return kept;
  const response = await fetch(request);
  // A full disk is no reason not to show it.
  if (response.ok) await keep(cache, request, response.clone()).catch(() => undefined);
  return response;
}

async function keep(cache: Cache, request: Request, response: Response): Promise<void> {
  await cache.put(request, response);
  const keys = await cache.keys();
  await Promise.all(keys.slice(0, -ARTWORK_IMAGES_MAX).map((old) => cache.delete(old)));
}

async function dropOldShells(): Promise<void> {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith('carnet-shell-') && name !== SHELL_CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
}
