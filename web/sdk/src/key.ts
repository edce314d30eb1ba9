// The device's key: made once, in this browser, and never to leave it. A device is this key.

import { toBase64Url, utf8 } from './bytes';
import { sha256, thumbprint } from './jws';

export interface Identity {
  /** The device's id with its member. */
  readonly device: string;
  readonly keys: CryptoKeyPair;
}

const ECDSA_P256 = { name: 'ECDSA', namedCurve: 'P-256' } as const;

export async function createIdentity(): Promise<Identity> {
  const keys = await crypto.subtle.generateKey(ECDSA_P256, false, ['sign', 'verify']);
  return { device: `web-${crypto.randomUUID()}`, keys };
}

export interface DeviceKey {
  readonly jwk: JsonWebKey;
  readonly thumbprint: string;
  /** A proof for one request with one token (RFC 9449). */
  proof(method: string, url: string, token: string | undefined, nowMs: number): Promise<string>;
}

export async function deviceKey({ keys }: Identity): Promise<DeviceKey> {
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', keys.publicKey);
  const jwk = { kty, crv, x, y } as JsonWebKey;
  return {
    jwk,
    thumbprint: await thumbprint(jwk),
    async proof(method, url, token, nowMs) {
      const { origin, pathname } = new URL(url);
      const claims = {
        htm: method,
        htu: `${origin}${pathname}`,
        iat: Math.floor(nowMs / 1000),
        jti: crypto.randomUUID(),
        ...(token !== undefined && { ath: toBase64Url(await sha256(utf8(token))) }),
      };
      const signed = `${part({ typ: 'dpop+jwt', alg: 'ES256', jwk })}.${part(claims)}`;
      const how = { name: 'ECDSA', hash: 'SHA-256' };
      const signature = await crypto.subtle.sign(how, keys.privateKey, utf8(signed));
      return `${signed}.${toBase64Url(new Uint8Array(signature))}`;
    },
  };
}

function part(value: unknown): string {
  return toBase64Url(utf8(JSON.stringify(value)));
}
