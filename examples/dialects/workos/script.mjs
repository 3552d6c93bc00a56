// WorkOS's SDK, as it is published, against Understudy. ../README.md says how to run it.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { WorkOS } from '@workos-inc/node';
import { Browser } from '../browser.mjs';

const { ISSUER, CLIENT_ID, API_KEY, REDIRECT_URI, ACTOR, SUBJECT, PASSWORD } = process.env;

// What changes in an application that leaves WorkOS: where its API is, and the key.
const { hostname, port, protocol } = new URL(ISSUER);
const there = { apiHostname: hostname, port: Number(port) || undefined, https: protocol === 'https:', clientId: CLIENT_ID };
const workos = new WorkOS(API_KEY, there);
const cookiePassword = 'a password of at least thirty-two characters';

// login sends a browser through the sign-in, and returns what the SDK makes of the code
// that it comes back with.
async function login(browser, { person, choices } = {}) {
  const { codeVerifier, codeChallenge } = await workos.pkce.generate();
  const url = workos.userManagement.getAuthorizationUrl({
    provider: 'authkit',
    redirectUri: REDIRECT_URI,
    state: 'where we were',
    codeChallenge,
    codeChallengeMethod: 'S256',
  });
  const { parameters } = await browser.open(url, { person, password: PASSWORD, choices });
  assert.equal(parameters.state, 'where we were');
  assert.ok(parameters.code, `no code, but ${parameters.error}: ${parameters.error_description}`);
  const session = { sealSession: true, cookiePassword };
  return workos.userManagement.authenticateWithCode({ code: parameters.code, codeVerifier, session });
}

// find reads events on from the first, as they come, until there is one of the session.
async function find(events, is) {
  let after;
  for (const until = Date.now() + 15e3; Date.now() < until; ) {
    const { data } = await workos.events.listEvents({ events, limit: 2, after });
    const found = data.find((event) => is(event.data));
    if (found) return found;
    after = data.at(-1)?.id ?? after;
    if (data.length === 0) await sleep(200);
  }
  throw new Error('there is no event of the session');
}

// 1. Somebody signs in as themselves.
{
  const session = await login(new Browser(ISSUER), { person: SUBJECT, choices: { continue_as: 'me' } });
  assert.equal(session.user.email, SUBJECT);
  assert.equal(session.impersonator, undefined);
  assert.equal(session.authenticationMethod, 'Password');
  assert.equal(claims(session.accessToken).act, undefined);

  const renewed = await workos.userManagement.authenticateWithRefreshToken({ refreshToken: session.refreshToken });
  assert.equal(renewed.user.id, session.user.id);
  assert.notEqual(renewed.refreshToken, session.refreshToken);
  console.log(`${session.user.email} is signed in as themselves, and was renewed`);
}

// 2. Support signs in as them. Who may is asked on the consent page.
const [found] = (await workos.userManagement.listUsers({ email: SUBJECT })).data;
assert.equal((await workos.userManagement.getUser(found.id)).email, SUBJECT);
const subject = (await login(new Browser(ISSUER), { person: SUBJECT, choices: { continue_as: 'me' } })).user;
const reason = 'Cannot see invoice 4711';
const asOther = { continue_as: 'other', subject: subject.id, reason, access: 'full', duration: '30' };
const acting = await login(new Browser(ISSUER), { person: ACTOR, choices: asOther });
assert.equal(acting.user.email, SUBJECT);
assert.equal(acting.authenticationMethod, 'Impersonation');
assert.deepEqual(acting.impersonator, { email: ACTOR, reason });
const { sub, act, sid } = claims(acting.accessToken);
assert.equal(sub, subject.id);
assert.deepEqual(act, { sub: ACTOR });
console.log(`${act.sub} is signed in as ${acting.user.email}: ${acting.impersonator.reason}`);

// 3. It says so after a refresh too, and never outlives the impersonation.
if (acting.refreshToken) {
  const renewed = await workos.userManagement.authenticateWithRefreshToken({ refreshToken: acting.refreshToken });
  assert.equal(renewed.authenticationMethod, 'Impersonation');
  assert.deepEqual(renewed.impersonator, acting.impersonator);
  assert.deepEqual(claims(renewed.accessToken).act, act);
  console.log('renewed, and still them');
}

// 4. The session that the SDK seals for a cookie: it verifies the token with our keys, and
// says who is there.
{
  const cookie = workos.userManagement.loadSealedSession({ sessionData: acting.sealedSession, cookiePassword });
  const found = await cookie.authenticate();
  assert.equal(found.authenticated, true);
  assert.equal(found.sessionId, sid);
  assert.deepEqual(found.impersonator, acting.impersonator);
}

// 5. The events say who came, and as whom. They are in their place within a second or two.
{
  const event = await find(['session.created'], (session) => session.id === sid);
  assert.equal(event.event, 'session.created');
  assert.equal(event.data.userId, subject.id);
  assert.deepEqual(event.data.impersonator, { email: ACTOR, reason });
  const ordinary = await find(['session.created'], (session) => session.userId === subject.id && !session.impersonator);
  assert.ok(ordinary);
  console.log(`session.created names ${event.data.impersonator.email}`);
}

// 6. It is stopped, and there is an event of that too.
{
  const { data } = await workos.userManagement.listSessions(subject.id);
  assert.deepEqual(data.find((session) => session.id === sid).impersonator, { email: ACTOR, reason });
  await workos.userManagement.revokeSession({ sessionId: sid });
  const event = await find(['session.revoked'], (session) => session.id === sid);
  assert.equal(event.data.status, 'revoked');
  assert.deepEqual(event.data.impersonator, { email: ACTOR, reason });
  if (acting.refreshToken) {
    await assert.rejects(workos.userManagement.authenticateWithRefreshToken({ refreshToken: acting.refreshToken }), { name: 'OauthException' });
  }
}

// 7. What is refused, and how the SDK says so.
await assert.rejects(workos.userManagement.authenticateWithCode({ code: 'nonsense' }), (err) => {
  assert.equal(err.name, 'OauthException');
  assert.match(err.message, /invalid_grant/);
  return true;
});
await assert.rejects(
  new WorkOS('usk_nonsense', there).userManagement.authenticateWithCode({ code: 'nonsense' }),
  { name: 'UnauthorizedException' },
);
await assert.rejects(workos.userManagement.getUser('user_nobody'), { name: 'NotFoundException' });
await assert.rejects(workos.organizations.getOrganization('org_nobody'), { name: 'NotFoundException', message: /not here/ });
await assert.rejects(new WorkOS('usk_nonsense', there).events.listEvents({ events: ['session.created'] }), {
  name: 'UnauthorizedException',
});
console.log('done');

// claims reads a JWT. Its signature is the SDK's business.
function claims(jwt) {
  return JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url').toString());
}
