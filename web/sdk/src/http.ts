// The one door to the device API: bearer, device proof, problems and the server's time. What may be
// asked and what is answered are the types of docs/api/openapi.json. Nothing else in the SDK calls
// fetch, save the media player for media.

import type { Problem, Said } from './contract';
import type { paths } from './openapi';

type Verb = 'get' | 'post' | 'delete';

/** Every operation of the document, as `POST /v1/licenses`. */
export type Route = {
  [P in keyof paths]: {
    [V in Verb]: paths[P][V] extends object ? `${Uppercase<V>} ${P}` : never;
  }[Verb];
}[keyof paths];

type Operation<R extends Route> = R extends `${infer V} ${infer P extends keyof paths}`
  ? paths[P][Lowercase<V> & keyof paths[P]]
  : never;

type Path<O> = O extends { parameters: { path: infer P } } ? { readonly path: P } : unknown;
type Query<O> = O extends { parameters: { query: infer Q } } ? { readonly query: Q } : unknown;
type Body<O> = O extends { requestBody: { content: { 'application/json': infer B } } }
  ? { readonly body: B }
  : unknown;

/** What an operation is asked with. */
export type Ask<R extends Route> = Path<Operation<R>> &
  Query<Operation<R>> &
  Body<Operation<R>> & { readonly idempotencyKey?: string };

type Success<A> = A[keyof A & (200 | 201)];

/** What an operation answers when it says yes. */
export type Reply<R extends Route> =
  Operation<R> extends { responses: infer A }
    ? Success<A> extends { content: infer C }
      ? Said<C[keyof C]>
      : never
    : never;

export type Answer<T> =
  | { readonly kind: 'ok'; readonly value: T }
  /** The server understood and says no. */
  | { readonly kind: 'problem'; readonly problem: Problem }
  /** No word from the server, or none of substance: what is valid stays valid. */
  | { readonly kind: 'unreachable'; readonly why: string };

export type Api = <R extends Route>(route: R, ask: Ask<R>) => Promise<Answer<Reply<R>>>;

export interface ApiOptions {
  /** Where the service is, for example `https://licenses.example.com`. */
  readonly base: string;
  readonly fetch: typeof fetch;
  /** The member's access token; `fresh` when the last one was not accepted. */
  readonly token: (fresh: boolean) => Promise<string | undefined>;
  /** A proof by the device's key that it is this device which asks (RFC 9449). */
  readonly proof: (method: string, url: string, token: string) => Promise<string>;
  readonly heard: (serverMs: number) => void;
  readonly reached: (reachable: boolean) => void;
}

/** Longer than any answer takes; a train in a tunnel would otherwise keep us waiting for minutes. */
const TIMEOUT_MS = 20_000;

export function createApi(options: ApiOptions): Api {
  return async <R extends Route>(route: R, ask: Ask<R>) => {
    const call = callOf(options.base, route, ask);
    let answer = await once<Reply<R>>(options, call, false);
    if (answer.kind === 'problem' && answer.problem.status === 401) {
      answer = await once<Reply<R>>(options, call, true);
    }
    options.reached(answer.kind !== 'unreachable');
    return answer;
  };
}

interface Call {
  readonly method: string;
  readonly url: string;
  readonly body?: string;
  readonly idempotencyKey?: string;
}

/** An `Ask` whose operation does not matter any more. */
interface Asked {
  readonly path?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly idempotencyKey?: string;
}

function callOf(base: string, route: Route, ask: Asked): Call {
  const [method = '', template = ''] = route.split(' ');
  const path = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(ask.path?.[name] ?? ''));
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(ask.query ?? {})) url.searchParams.set(name, value);
  return {
    method,
    url: url.href,
    ...(ask.body !== undefined && { body: JSON.stringify(ask.body) }),
    ...(ask.idempotencyKey !== undefined && { idempotencyKey: ask.idempotencyKey }),
  };
}

async function once<T>(options: ApiOptions, call: Call, fresh: boolean): Promise<Answer<T>> {
  const { method, url, body, idempotencyKey } = call;
  let response: Response;
  let text: string;
  try {
    const headers: Record<string, string> = { accept: 'application/json' };
    const token = await options.token(fresh);
    if (token !== undefined) {
      headers['authorization'] = `Bearer ${token}`;
      headers['dpop'] = await options.proof(method, url, token);
    }
    if (idempotencyKey !== undefined) headers['idempotency-key'] = idempotencyKey;
    if (body !== undefined) headers['content-type'] = 'application/json';
    response = await options.fetch(url, {
      method,
      headers,
      // A stored answer would bring yesterday's time with it.
      cache: 'no-store',
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body !== undefined && { body }),
    });
    text = await response.text();
  } catch (error) {
    return { kind: 'unreachable', why: String(error) };
  }
  const serverMs = Date.parse(response.headers.get('carnet-time') ?? '');
  if (!Number.isNaN(serverMs)) options.heard(serverMs);
  const said = parsed(text);
  if (response.ok) {
    // Some other page answers 200 with a form to log in: a hotel's network, not our server.
    return said === undefined
      ? { kind: 'unreachable', why: 'the answer is not JSON' }
      : { kind: 'ok', value: said as T };
  }
  const { status } = response;
  const problem = said as Partial<Problem> | undefined;
  // Trouble that passes, or a no that is not our server's: a proxy's page decides nothing.
  const passes = status >= 500 || status === 429 || status === 408;
  if (passes || (problem?.code === undefined && status !== 401)) {
    return { kind: 'unreachable', why: `status ${status}` };
  }
  const nameless = { type: 'about:blank', title: 'The service does not know who is asking', code: 'unauthorized' };
  return { kind: 'problem', problem: { ...nameless, ...problem, status } };
}

/** Without what is `null`, which says no more than its absence. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text === '' ? '{}' : text, (_, value: unknown) => value ?? undefined);
  } catch {
    return undefined;
  }
}
