// The one door to the device API: bearer, device proof, problems and the server's time. Nothing else
// in the SDK calls fetch, save the media player for media.

import type { Problem } from './contract';

export type Answer<T> =
  | { readonly kind: 'ok'; readonly value: T }
  /** The server understood and says no. */
  | { readonly kind: 'problem'; readonly problem: Problem }
  /** No word from the server, or none of substance: what is valid stays valid. */
  | { readonly kind: 'unreachable'; readonly why: string };

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

export interface Call {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal;
}

export type Api = <T>(call: Call) => Promise<Answer<T>>;

/** Longer than any answer takes; a train in a tunnel would otherwise keep us waiting for minutes. */
const TIMEOUT_MS = 20_000;

export function createApi(options: ApiOptions): Api {
  return async <T>(call: Call): Promise<Answer<T>> => {
    let answer = await once<T>(options, call, false);
    if (answer.kind === 'problem' && answer.problem.status === 401) {
      answer = await once<T>(options, call, true);
    }
    options.reached(answer.kind !== 'unreachable');
    return answer;
  };
}

async function once<T>(options: ApiOptions, call: Call, fresh: boolean): Promise<Answer<T>> {
  const url = new URL(call.path, options.base).href;
  let response: Response;
  let text: string;
  try {
    const headers: Record<string, string> = { accept: 'application/json' };
    const token = await options.token(fresh);
    if (token !== undefined) {
      headers['authorization'] = `Bearer ${token}`;
      headers['dpop'] = await options.proof(call.method, url, token);
    }
    if (call.idempotencyKey !== undefined) headers['idempotency-key'] = call.idempotencyKey;
    if (call.body !== undefined) headers['content-type'] = 'application/json';
    const timeout = AbortSignal.timeout(TIMEOUT_MS);
    response = await options.fetch(url, {
      method: call.method,
      headers,
      // A stored answer would bring yesterday's time with it.
      cache: 'no-store',
      signal: call.signal ? AbortSignal.any([call.signal, timeout]) : timeout,
      ...(call.body !== undefined && { body: JSON.stringify(call.body) }),
    });
    text = await response.text();
  } catch (error) {
    if (call.signal?.aborted) throw error;
    return { kind: 'unreachable', why: String(error) };
  }
  const serverMs = Date.parse(response.headers.get('carnet-time') ?? '');
  if (!Number.isNaN(serverMs)) options.heard(serverMs);
  if (response.ok) {
    const value = parsed(text) as T | undefined;
    // Some other page answers 200 with a form to log in: a hotel's network, not our server.
    return value === undefined
      ? { kind: 'unreachable', why: 'the answer is not JSON' }
      : { kind: 'ok', value };
  }
  if (response.status >= 500 || response.status === 429 || response.status === 408) {
    return { kind: 'unreachable', why: `status ${response.status}` };
  }
  const problem = parsed(text) as Partial<Problem> | undefined;
  const title = problem?.title ?? `The server answered with status ${response.status}`;
  return { kind: 'problem', problem: { ...problem, title, status: response.status } };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text === '' ? '{}' : text);
  } catch {
    return undefined;
  }
}
