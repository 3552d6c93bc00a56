// A relying party with openid-client 5. ../README.md says how to run it.
import { readFile } from 'node:fs/promises';
import { custom, generators, Issuer } from 'openid-client';
import { serve } from '../web.mjs';

const { ISSUER, CLIENT_ID, CLIENT_SECRET, CLIENT_KEY_FILE } = process.env;

custom.setHttpOptionsDefaults({ timeout: 10e3 }); // 3.5 seconds otherwise
const issuer = await Issuer.discover(ISSUER);
const client = CLIENT_KEY_FILE ? await withKey() : new issuer.Client({ client_id: CLIENT_ID, client_secret: CLIENT_SECRET });

// The client's key is a JWK for ES256, with a kid.
async function withKey() {
  const jwk = JSON.parse(await readFile(CLIENT_KEY_FILE, 'utf8'));
  const metadata = {
    client_id: CLIENT_ID,
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'ES256',
  };
  return new issuer.Client(metadata, { keys: [jwk] });
}

// begin returns where to send the browser, and what to keep until it is back.
async function begin(redirectUri, parameters) {
  const trip = {
    redirectUri,
    state: generators.state(),
    nonce: generators.nonce(),
    verifier: generators.codeVerifier(),
  };
  const url = client.authorizationUrl({
    scope: 'openid profile email offline_access',
    ...parameters,
    redirect_uri: redirectUri,
    response_type: 'code',
    state: trip.state,
    nonce: trip.nonce,
    code_challenge: generators.codeChallenge(trip.verifier),
    code_challenge_method: 'S256',
  });
  return { url, trip };
}

// finish makes a session of the provider's answer: a GET, or the POST of
// form_post. Checked are state, iss and PKCE, and the ID token's signature, iss,
// aud, exp, nonce and at_hash.
async function finish(request, trip) {
  const { method, url } = request;
  const parameters = client.callbackParams({ method, url, body: await request.text() });
  const tokens = await client.callback(trip.redirectUri, parameters, {
    state: trip.state,
    nonce: trip.nonce,
    code_verifier: trip.verifier,
    response_type: 'code',
  });
  const claims = tokens.claims();
  return {
    tokens,
    claims, // claims.act, where it is, says who is really here (RFC 8693 section 4.1)
    // A session of ours must not outlive the permission to act as somebody.
    until: claims.act ? Date.parse(tokens.impersonation.expires_at) : Date.now() + 8 * 3600e3,
  };
}

// userinfo refuses an answer that is not about the subject of the ID token.
function userinfo(session) {
  return client.userinfo(session.tokens);
}

// renew replaces the tokens of a session, and never whom they are about. The
// library compares sub.
async function renew(session) {
  const tokens = await client.refresh(session.tokens);
  tokens.id_token ??= session.tokens.id_token; // it may be left out
  tokens.refresh_token ??= session.tokens.refresh_token; // not everybody rotates it
  const claims = tokens.claims();
  if (claims.act?.sub !== session.claims.act?.sub) {
    throw new Error('the new tokens are about somebody else');
  }
  Object.assign(session, { tokens, claims });
}

// endSession returns where to send the browser to sign out. The ID token of an
// impersonation ends the impersonation and nothing else.
function endSession(session, postLogoutRedirectUri) {
  return client.endSessionUrl({
    id_token_hint: session.tokens,
    post_logout_redirect_uri: postLogoutRedirectUri,
  });
}

serve({ begin, finish, userinfo, renew, endSession });
