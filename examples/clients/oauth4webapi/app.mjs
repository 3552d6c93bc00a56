// A relying party with oauth4webapi 3, which has a function for each request and
// one for each answer, and nothing above them. ../README.md says how to run it.
import { readFile } from 'node:fs/promises';
import * as oauth from 'oauth4webapi';
import { serve } from '../web.mjs';

const { ISSUER, CLIENT_ID, CLIENT_SECRET, CLIENT_KEY_FILE } = process.env;

const options = {
  signal: () => AbortSignal.timeout(10e3), // the library waits for ever
  // Only because this issuer is on this machine, without TLS. Leave it out.
  [oauth.allowInsecureRequests]: ISSUER.startsWith('http://127.0.0.1:'),
};

const issuer = new URL(ISSUER);
const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, options));
const client = { client_id: CLIENT_ID, id_token_signed_response_alg: 'RS256' }; // as it is registered
const authentication = CLIENT_KEY_FILE ? await privateKeyJwt() : oauth.ClientSecretBasic(CLIENT_SECRET);

// The client's key is a JWK for ES256, with a kid.
async function privateKeyJwt() {
  const jwk = JSON.parse(await readFile(CLIENT_KEY_FILE, 'utf8'));
  const key = await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']);
  return oauth.PrivateKeyJwt({ key, kid: jwk.kid });
}

// begin returns where to send the browser, and what to keep until it is back.
async function begin(redirectUri, parameters) {
  const trip = {
    redirectUri,
    state: oauth.generateRandomState(),
    nonce: oauth.generateRandomNonce(),
    verifier: oauth.generateRandomCodeVerifier(),
  };
  const url = new URL(server.authorization_endpoint);
  url.search = new URLSearchParams({
    scope: 'openid profile email offline_access',
    ...parameters,
    client_id: CLIENT_ID,
    redirect_uri: redirectUri,
    response_type: 'code',
    state: trip.state,
    nonce: trip.nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(trip.verifier),
    code_challenge_method: 'S256',
  });
  return { url, trip };
}

// finish makes a session of the provider's answer: a GET, or the POST of
// form_post. Checked are state and iss, PKCE, and the ID token's signature, iss,
// aud, exp and nonce.
async function finish(request, trip) {
  const said = request.method === 'POST' ? new URLSearchParams(await oauth.formPostResponse(request)) : new URL(request.url);
  const parameters = oauth.validateAuthResponse(server, client, said, trip.state);
  const response = await oauth.authorizationCodeGrantRequest(
    server, client, authentication, parameters, trip.redirectUri, trip.verifier, options,
  );
  const tokens = await oauth.processAuthorizationCodeResponse(server, client, response, {
    expectedNonce: trip.nonce,
    requireIdToken: true,
  });
  // The ID token's signature: without this only TLS says whom it came from.
  await oauth.validateApplicationLevelSignature(server, response, options);
  const claims = oauth.getValidatedIdTokenClaims(tokens);
  return {
    tokens,
    claims, // claims.act, where it is, says who is really here (RFC 8693 section 4.1)
    idToken: tokens.id_token,
    // A session of ours must not outlive the permission to act as somebody.
    until: claims.act ? Date.parse(tokens.impersonation.expires_at) : Date.now() + 8 * 3600e3,
  };
}

// userinfo refuses an answer that is not about the session's subject.
async function userinfo(session) {
  const response = await oauth.userInfoRequest(server, client, session.tokens.access_token, options);
  return oauth.processUserInfoResponse(server, client, session.claims.sub, response);
}

// renew replaces the tokens of a session, and never whom they are about.
async function renew(session) {
  const response = await oauth.refreshTokenGrantRequest(server, client, authentication, session.tokens.refresh_token, options);
  const tokens = await oauth.processRefreshTokenResponse(server, client, response);
  if (tokens.id_token) await oauth.validateApplicationLevelSignature(server, response, options);
  const claims = oauth.getValidatedIdTokenClaims(tokens) ?? session.claims; // the ID token may be left out
  if (claims.sub !== session.claims.sub || claims.act?.sub !== session.claims.act?.sub) {
    throw new Error('the new tokens are about somebody else');
  }
  tokens.refresh_token ??= session.tokens.refresh_token; // not everybody rotates it
  Object.assign(session, { tokens, claims, idToken: tokens.id_token ?? session.idToken });
}

// endSession returns where to send the browser to sign out. The ID token of an
// impersonation ends the impersonation and nothing else.
function endSession(session, postLogoutRedirectUri) {
  const url = new URL(server.end_session_endpoint);
  url.search = new URLSearchParams({ id_token_hint: session.idToken, post_logout_redirect_uri: postLogoutRedirectUri });
  return url;
}

serve({ begin, finish, userinfo, renew, endSession });
