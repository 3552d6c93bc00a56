// Auth0's SDK, as it is published, against Understudy. ../README.md says how to run it.
import assert from 'node:assert/strict';
import auth0 from 'auth0';
import { Browser } from '../browser.mjs';
import { stop } from '../stop.mjs';

const { ISSUER, CLIENT_ID, CLIENT_SECRET, SERVICE_ID, API_KEY, REDIRECT_URI, ACTOR_ID, SUBJECT_ID, SUBJECT } = process.env;

// What changes in an application that leaves Auth0: where its API is, and the token.
const { host: domain } = new URL(ISSUER);
const client = new auth0.AuthenticationClient({ domain, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET });

// Support finds the user, by a client of its own. Its token may ask for links, too.
const management = new auth0.ManagementClient({ domain, clientId: SERVICE_ID, clientSecret: CLIENT_SECRET });
const [user] = await management.getUsersByEmail(SUBJECT);
assert.equal(user.user_id, SUBJECT_ID);
assert.equal((await management.getUser({ id: SUBJECT_ID })).email, SUBJECT);
const { users, total } = await management.getUsers({ q: `email:"${SUBJECT}"`, search_engine: 'v3', include_totals: true });
assert.deepEqual([users[0].user_id, total], [SUBJECT_ID, 1]);
const service = new auth0.AuthenticationClient({ domain, clientId: SERVICE_ID, clientSecret: CLIENT_SECRET });
const { access_token: SERVICE_TOKEN } = await service.clientCredentialsGrant({ audience: `https://${domain}/api/v2/` });
console.log(`found ${user.email}`);

// impersonate asks for a one-time link, as the documentation of Auth0 shows it.
function impersonate(additionalParameters, settings = {}) {
  return client.users.impersonate(SUBJECT_ID, {
    impersonator_id: ACTOR_ID,
    protocol: 'oauth2',
    token: API_KEY,
    additionalParameters: { response_type: 'code', scope: 'openid profile email', callback_url: REDIRECT_URI, ...additionalParameters },
    ...settings,
  });
}

// follow opens a link in a browser that knows nobody, and stops the impersonation again.
async function follow(link, method) {
  const there = await new Browser(ISSUER).open(link);
  assert.equal(there.method, method);
  assert.equal(there.url.origin + there.url.pathname, REDIRECT_URI);
  assert.equal(there.parameters.iss, ISSUER);
  return there;
}

// exchange gets tokens for a code, as the application has done all along.
// The SDK verifies the ID token.
const exchange = (code) => client.oauth.authorizationCodeGrant({ code, redirect_uri: REDIRECT_URI });

// end stops the impersonation that an access token is of.
const end = (tokens) => stop(claims(tokens.access_token).sid);

// 1. A code in the query, with the state that was given.
{
  const link = await impersonate({ state: 'where we were', reason: 'Cannot see invoice 4711' });
  assert.ok(link.startsWith(`${ISSUER}/`), link);
  const { parameters } = await follow(link, 'GET');
  assert.equal(parameters.state, 'where we were');
  const tokens = await exchange(parameters.code);
  const { sub, act } = claims(tokens.id_token);
  assert.equal(sub, SUBJECT_ID);
  assert.equal(act.sub, ACTOR_ID);

  // The profile says so too, as Auth0's does.
  const profile = await client.users.getInfo(tokens.access_token);
  assert.equal(profile.sub, SUBJECT_ID);
  assert.equal(profile.impersonated, true);
  assert.equal(profile.impersonator.user_id, ACTOR_ID);
  assert.match(profile.impersonator.email, /@/);
  await assert.rejects(follow(link, 'GET'), /not valid any more/); // it works once
  await end(tokens);
  console.log(`${act.sub} was signed in as ${sub}, by a code in the query`);
}

// 2. The same by POST. No state was given, so there is a new one.
{
  const { parameters } = await follow(await impersonate({ response_mode: 'POST' }, { token: SERVICE_TOKEN }), 'POST');
  assert.ok(parameters.state.length >= 16, parameters.state);
  await end(await exchange(parameters.code));
  console.log('by a code in a form');
}

// 3. A token in the fragment, and by POST.
for (const [response_mode, method] of [['GET', 'GET'], ['POST', 'POST']]) {
  const { url, parameters } = await follow(await impersonate({ response_type: 'token', response_mode, state: 's' }), method);
  assert.equal(url.search, ''); // never in the query
  assert.equal(parameters.state, 's');
  assert.equal(claims(parameters.access_token).act.sub, ACTOR_ID);
  await end(parameters);
  console.log(`by a token, ${method}`);
}

// 4. What is refused. The SDK hands on axios's error, with our answer in it.
for (const [what, attempt, status, message] of [
  ['an unknown callback', () => impersonate({ callback_url: 'https://elsewhere.example/callback' }), 400, /redirect_uri|callback/],
  ['somebody who may not', () => impersonate({}, { impersonator_id: SUBJECT_ID }), 403, /may not|nobody/i],
  ['another protocol', () => impersonate({}, { protocol: 'samlp' }), 400, /oauth2/],
  ['a reason that says nothing', () => impersonate({ reason: 'x' }), 400, /reason/i],
  ['no credential of ours', () => impersonate({}, { token: 'usk_nonsense' }), 401, /./],
  ['nobody of that name', () => client.users.impersonate('usr_nobody', { impersonator_id: ACTOR_ID, protocol: 'oauth2', token: API_KEY, additionalParameters: { callback_url: REDIRECT_URI } }), 403, /user/i],
]) {
  await assert.rejects(attempt, (err) => {
    assert.equal(err.name, 'AxiosError', what);
    assert.equal(err.response?.status, status, `${what}: ${JSON.stringify(err.response?.data)}`);
    assert.match(err.response.data.message, message, what);
    return true;
  });
}
console.log('done');

// claims reads a JWT. To verify it is the application's business, as before.
function claims(jwt) {
  return JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url').toString());
}
