// Compact JSON Web Signatures by Ed25519: how a device checks, offline, who signed its lease.
// It does not know what a claim means, nor what time it is.

import { fromBase64Url, toBase64Url, utf8, type Bytes } from './bytes';

/** The members of a public key that we use (RFC 7517, RFC 8037). */
export interface Jwk {
  readonly kty: string;
  readonly crv?: string;
  readonly kid?: string;
  readonly x?: string;
  readonly y?: string;
}

export type Verified =
  | { readonly kind: 'genuine'; readonly payload: unknown }
  /** Signed by a key that we have not seen: fetch the key set again, then ask again. */
  | { readonly kind: 'unknown_key'; readonly kid: string }
  | { readonly kind: 'forged'; readonly why: string };

interface Header {
  readonly alg?: unknown;
  readonly typ?: unknown;
  readonly kid?: unknown;
  readonly crit?: unknown;
  readonly b64?: unknown;
}

export async function verifyJws(token: string, typ: string, keys: readonly Jwk[]): Promise<Verified> {
  const [header64, payload64, signature64, ...rest] = token.split('.');
  const header = parsed(header64) as Header | undefined;
  const signature = fromBase64Url(signature64 ?? '');
  if (!header || payload64 === undefined || !signature || rest.length > 0) {
    return { kind: 'forged', why: 'not a compact JWS' };
  }
  // `Ed25519` of RFC 9864, and the older name of the same.
  if (header.alg !== 'Ed25519' && header.alg !== 'EdDSA') {
    return { kind: 'forged', why: `\`alg\` is not \`Ed25519\`` };
  }
  if (header.typ !== typ) return { kind: 'forged', why: `\`typ\` is not \`${typ}\`` };
  if (header.crit !== undefined || header.b64 !== undefined) {
    return { kind: 'forged', why: 'the header asks for an extension that is not understood' };
  }
  if (typeof header.kid !== 'string') return { kind: 'forged', why: 'no `kid`' };

  const jwk = keys.find((key) => key.kid === header.kid && key.kty === 'OKP' && key.crv === 'Ed25519');
  const x = jwk?.x === undefined ? undefined : fromBase64Url(jwk.x);
  if (!x) return { kind: 'unknown_key', kid: header.kid };

  const key = await crypto.subtle.importKey('raw', x, 'Ed25519', false, ['verify']);
  const signed = utf8(`${header64}.${payload64}`);
  if (!(await crypto.subtle.verify('Ed25519', key, signature, signed))) {
    return { kind: 'forged', why: 'the signature does not verify' };
  }
  const payload = parsed(payload64);
  return payload === undefined
    ? { kind: 'forged', why: 'the payload is not JSON' }
    : { kind: 'genuine', payload };
}

/** RFC 7638: the name of a public key, the same for everyone who has it. */
export async function thumbprint(key: JsonWebKey): Promise<string> {
  const { crv, kty, x, y } = key;
  const canonical = kty === 'EC' ? { crv, kty, x, y } : { crv, kty, x };
  return toBase64Url(await sha256(utf8(JSON.stringify(canonical))));
}

export async function sha256(bytes: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
}

function parsed(part: string | undefined): unknown {
  const bytes = part === undefined ? undefined : fromBase64Url(part);
  if (!bytes) return undefined;
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}
