// A relying party with openid-client 6. ../README.md says how to run it.
import { readFile } from 'node:fs/promises';
import * as client from 'openid-client';
import { serve } from '../web.mjs';

const { ISSUER, CLIENT_ID, CLIENT_SECRET, CLIENT_KEY_FILE } = process.env;

const config = await client.discovery(
  new URL(ISSUER),
  CLIENT_ID,
  { id_token_signed_response_alg: 'RS256' }, // as the client is registered
  CLIENT_KEY_FILE ? await privateKeyJwt() : client.ClientSecretBasic(CLIENT_SECRET),
  {
    execute: [
      client.enableNonRepudiationChecks, // check the ID token's signature, and not only whom it came from
      // Only because this issuer is on this machine, without TLS. Leave it out.
      ...(ISSUER.startsWith('http://127.0.0.1:') ? [client.allowInsecureRequests] : []),
    ],
  },
);

// The client's key is a JWK for ES256, with a kid.
async function privateKeyJwt() {
  const jwk = JSON.parse(await readFile(CLIENT_KEY_FILE, 'utf8'));
  const key = await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']);
  return client.PrivateKeyJwt({ key, kid: jwk.kid });
}

// begin returns where to send the browser, and what to keep until it is back.
async function begin(redirectUri, parameters) {
  const trip = {
    state: client.randomState(),
    nonce: client.randomNonce(),
    verifier: client.randomPKCECodeVerifier(),
  };
  const url = client.buildAuthorizationUrl(config, {
    scope: 'openid profile email offline_access',
    ...parameters,
    redirect_uri: redirectUri,
    state: trip.state,
    nonce: trip.nonce,
    code_challenge: await client.calculatePKCECodeChallenge(trip.verifier),
    code_challenge_method: 'S256',
  });
  return { url, trip };
}

// finish makes a session of the provider's answer: a GET, or the POST of
// form_post. Checked are state, iss and PKCE, and the ID token's signature, iss,
// aud, exp and nonce.
async function finish(request, trip) {
  const tokens = await client.authorizationCodeGrant(config, request, {
    expectedState: trip.state,
    expectedNonce: trip.nonce,
    pkceCodeVerifier: trip.verifier,
    idTokenExpected: true,
  });
  const claims = tokens.claims();
  return {
    tokens,
    claims, // claims.act, where it is, says who is really here (RFC 8693 section 4.1)
    idToken: tokens.id_token,
    // A session of ours must not outlive the permission to act as somebody.
    until: claims.act ? Date.parse(tokens.impersonation.expires_at) : Date.now() + 8 * 3600e3,
  };
}

// userinfo refuses an answer that is not about the session's subject.
function userinfo(session) {
  return client.fetchUserInfo(config, session.tokens.access_token, session.claims.sub);
}

// renew replaces the tokens of a session, and never whom they are about.
async function renew(session) {
  const tokens = await client.refreshTokenGrant(config, session.tokens.refresh_token);
  const claims = tokens.claims() ?? session.claims; // the ID token may be left out
  if (claims.sub !== session.claims.sub || claims.act?.sub !== session.claims.act?.sub) {
    throw new Error('the new tokens are about somebody else');
  }
  tokens.refresh_token ??= session.tokens.refresh_token; // not everybody rotates it
  Object.assign(session, { tokens, claims, idToken: tokens.id_token ?? session.idToken });
}

// endSession returns where to send the browser to sign out. The ID token of an
// impersonation ends the impersonation and nothing else.
function endSession(session, postLogoutRedirectUri) {
  return client.buildEndSessionUrl(config, {
    id_token_hint: session.idToken,
    post_logout_redirect_uri: postLogoutRedirectUri,
  });
}

serve({ begin, finish, userinfo, renew, endSession });
