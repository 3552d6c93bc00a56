import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import '#app/webcrypto.js';
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT, type JWTPayload } from 'jose';
import { Provider } from '#app/provider.js';

// The least provider: it publishes a key.
const { privateKey, publicKey } = await generateKeyPair('RS256');
const other = await generateKeyPair('RS256');
let broken = false;
const server = createServer(async (req, res) => {
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  if (broken && req.url === '/jwks') res.statusCode = 500;
  res.setHeader('Content-Type', 'application/json');
  res.end(
    JSON.stringify(
      req.url === '/jwks'
        ? { keys: [{ ...(await exportJWK(publicKey)), kid: '1', alg: 'RS256', use: 'sig' }] }
        : { issuer, jwks_uri: `${issuer}/jwks`, authorization_endpoint: `${issuer}/a`, token_endpoint: `${issuer}/t` },
    ),
  );
});
let issuer = '';
before(async () => {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => server.close());

const events = { 'http://schemas.openid.net/event/backchannel-logout': {} };

function sign(claims: JWTPayload, { key = privateKey, typ = 'logout+jwt' } = {}): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const all = { iss: issuer, aud: 'shop', iat: now, exp: now + 120, jti: 'lo_1', events, ...claims };
  return new SignJWT(all).setProtectedHeader({ alg: 'RS256', kid: '1', typ }).sign(key);
}

function verify(token: unknown): Promise<{ sid?: string; sub?: string }> {
  return new Provider({ issuer, clientId: 'shop', clientSecret: 's', base: 'http://shop.example' }).verifyLogoutToken(token);
}

test('the end of one session', async () => {
  assert.deepEqual(await verify(await sign({ sid: 'imp_1' })), { sid: 'imp_1' });
  assert.deepEqual(await verify(await sign({ sid: 's1', sub: 'usr_ada' })), { sid: 's1' });
  assert.deepEqual(await verify(await sign({ sub: 'usr_ada' })), { sub: 'usr_ada' });
});

for (const [name, token] of [
  ['nothing', () => undefined],
  ['a list', async () => [await sign({ sid: 's1' })]],
  ['no token', () => 'logout'],
  ['an ID token', () => sign({ sid: 's1' }, { typ: 'JWT' })],
  ['no signature', () => new UnsecuredJWT({ iss: issuer, aud: 'shop', sid: 's1', events }).setIssuedAt().encode()],
  ['another key', () => sign({ sid: 's1' }, { key: other.privateKey })],
  ['another client', () => sign({ sid: 's1', aud: 'bank' })],
  ['another issuer', () => sign({ sid: 's1', iss: 'https://evil.example' })],
  ['expired', () => sign({ sid: 's1', exp: 1 })],
  ['a nonce', () => sign({ sid: 's1', nonce: 'n' })],
  ['no event', () => sign({ sid: 's1', events: {} })],
  ['null events', () => sign({ sid: 's1', events: null })],
  ['no session', () => sign({})],
  ['an empty sid', () => sign({ sid: '' })],
] as [string, () => unknown][]) {
  test(name, async () => {
    await assert.rejects(verify(await token()), { status: 400 });
  });
}

test('a refusal for want of keys is not final', async () => {
  const token = await sign({ sid: 's1' });
  broken = true;
  try {
    await assert.rejects(verify(token), { status: 503 });
  } finally {
    broken = false;
  }
});
