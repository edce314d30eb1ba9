// Where in the player we are. Hashes, so that every page is the one page that the service worker has.

export type Route =
  | { readonly page: 'browse' | 'downloads' | 'devices' }
  | { readonly page: 'title' | 'watch'; readonly title: string };

export function parseRoute(hash: string): Route {
  const [page, title] = hash.replace(/^#\/?/, '').split('/');
  if ((page === 'title' || page === 'watch') && title) {
    try {
      return { page, title: decodeURIComponent(title) };
    } catch {
      return { page: 'browse' };
    }
  }
  return page === 'downloads' || page === 'devices' ? { page } : { page: 'browse' };
}

export function hrefOf(route: Route): string {
  if ('title' in route) return `#/${route.page}/${encodeURIComponent(route.title)}`;
  return route.page === 'browse' ? '#/' : `#/${route.page}`;
}

export function go(route: Route): void {
  location.hash = hrefOf(route);
}

class Here {
  #route = $state.raw(parseRoute(location.hash));

  constructor() {
    addEventListener('hashchange', () => {
      this.#route = parseRoute(location.hash);
      scrollTo(0, 0);
    });
  }

  get route(): Route {
    return this.#route;
  }
}

export function watchRoute(): { readonly route: Route } {
  return new Here();
}
