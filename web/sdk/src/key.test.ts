import { expect, it } from 'vitest';

import { fromBase64Url, toBase64Url, utf8 } from './bytes';
import { thumbprint } from './jws';
import { createIdentity, deviceKey } from './key';

const json = (part: string | undefined): unknown =>
  JSON.parse(new TextDecoder().decode(fromBase64Url(part ?? '')));

it('proves one request with one token (RFC 9449)', async () => {
  const identity = await createIdentity();
  const key = await deviceKey(identity);
  const proof = await key.proof('POST', 'https://a.example/v1/licenses?x=1#y', 'token', 1_700_000_000_900);
  const [header, claims, signature] = proof.split('.');
  expect(json(header)).toEqual({ typ: 'dpop+jwt', alg: 'ES256', jwk: key.jwk });
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', utf8('token')));
  expect(json(claims)).toEqual({
    htm: 'POST',
    htu: 'https://a.example/v1/licenses',
    iat: 1_700_000_000,
    jti: expect.any(String),
    ath: toBase64Url(hash),
  });
  const how = { name: 'ECDSA', hash: 'SHA-256' };
  const bytes = fromBase64Url(signature ?? '') ?? utf8('');
  const signed = utf8(`${header}.${claims}`);
  expect(await crypto.subtle.verify(how, identity.keys.publicKey, bytes, signed)).toBe(true);
  expect(Object.keys(key.jwk).sort()).toEqual(['crv', 'kty', 'x', 'y']);
});

it('never proves twice with one number', async () => {
  const key = await deviceKey(await createIdentity());
  const jti = async (): Promise<unknown> =>
    (json((await key.proof('GET', 'https://a.example/', undefined, 0)).split('.')[1]) as { jti: unknown }).jti;
  expect(await jti()).not.toBe(await jti());
});

it('names a key as RFC 7638 does (the example of RFC 8037)', async () => {
  const key = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' };
  expect(await thumbprint(key)).toBe('kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k');
});
