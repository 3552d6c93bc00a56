// Clerk's SDK, as it is published, against Understudy. ../README.md says how to run it.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { createClerkClient, verifyToken } from '@clerk/backend';
import { isClerkAPIResponseError } from '@clerk/backend/errors';
import { Browser } from '../browser.mjs';

const { ISSUER, CLIENT_ID, CLIENT_SECRET, API_KEY, REDIRECT_URI, ACTOR_ID, SUBJECT_ID, SUBJECT } = process.env;

// What changes in an application that leaves Clerk: where its API is, and the key.
const clerk = createClerkClient({ secretKey: API_KEY, apiUrl: ISSUER });

// 1. Support finds the user.
{
  const { data, totalCount } = await clerk.users.getUserList({ query: SUBJECT, limit: 10 });
  assert.equal(totalCount, 1);
  assert.equal(data[0].id, SUBJECT_ID);
  assert.equal(data[0].primaryEmailAddress.emailAddress, SUBJECT);
  const all = await clerk.users.getUserList({ limit: 2, offset: 1, orderBy: '+created_at' });
  assert.equal(all.data.length, 2);
  assert.equal(all.totalCount, await clerk.users.getCount());
  const one = await clerk.users.getUser(SUBJECT_ID);
  assert.equal(one.id, SUBJECT_ID);
  console.log(`found ${one.fullName}, one of ${all.totalCount}`);
}

// 2. One that nobody uses is withdrawn. The shortest call says neither how long nor why.
{
  const token = await clerk.actorTokens.create({ userId: SUBJECT_ID, actor: { sub: ACTOR_ID } });
  const revoked = await clerk.actorTokens.revoke(token.id);
  assert.equal(revoked.status, 'revoked');
  assert.equal(revoked.token, undefined);
  await assert.rejects(signIn(new Browser(ISSUER), token.url), /not valid any more/);
  await assert.rejects(clerk.actorTokens.revoke(token.id), says(400, /used|withdrawn/));
  console.log('revoked');
}

// 3. What is refused, and how the SDK says so.
{
  const ask = (change) => clerk.actorTokens.create({ userId: SUBJECT_ID, actor: { sub: ACTOR_ID, reason: 'Cannot see invoice 4711' }, ...change });
  await assert.rejects(ask({ actor: { sub: SUBJECT_ID } }), says(403, /may not sign in as someone else|nobody of this name/));
  await assert.rejects(ask({ userId: 'user_nobody' }), says(403, /user/));
  await assert.rejects(ask({ userId: ACTOR_ID }), says(403, /same user/));
  await assert.rejects(ask({ actor: { sub: ACTOR_ID, reason: 'x' } }), says(400, /reason/));
  await assert.rejects(ask({ sessionMaxDurationInSeconds: 7200 }), says(400, /session_max_duration_in_seconds/));
  await assert.rejects(clerk.actorTokens.revoke('tkt_nothing'), says(404, /./));
  await assert.rejects(clerk.invitations.getInvitationList(), says(404, /not here/));
  await assert.rejects(createClerkClient({ secretKey: 'usk_nonsense', apiUrl: ISSUER }).users.getCount(), says(401, /./));
}

// 4. An actor token, and a browser that signs in with it.
{
  const token = await clerk.actorTokens.create({
    userId: SUBJECT_ID,
    actor: { sub: ACTOR_ID, reason: 'Cannot see invoice 4711' },
    expiresInSeconds: 100,
    sessionMaxDurationInSeconds: 600,
  });
  assert.equal(token.status, 'pending');
  assert.equal(token.userId, SUBJECT_ID);
  assert.equal(token.actor.sub, ACTOR_ID);
  assert.ok(token.url.includes(token.token));
  assert.ok(Math.abs(Date.now() - token.createdAt) < 60e3);

  const tokens = await signIn(new Browser(ISSUER), token.url);
  const { sub, act, sid, exp } = claims(tokens.id_token);
  assert.equal(sub, SUBJECT_ID);
  assert.equal(act.sub, ACTOR_ID);
  assert.equal(act.sid, sid);
  assert.deepEqual(claims(tokens.access_token).act, act);
  assert.ok(exp * 1000 <= Date.now() + 600e3);

  // A server verifies the ID token as it did the session token. Without the audience one
  // of any other application of the provider would do.
  const session = { secretKey: API_KEY, apiUrl: ISSUER, audience: CLIENT_ID };
  assert.deepEqual((await verifyToken(tokens.id_token, session)).act, act);
  await assert.rejects(verifyToken(tokens.id_token, { ...session, audience: 'another' }), /audience/);
  console.log(`${act.sub} is signed in as ${sub}`);

  await assert.rejects(signIn(new Browser(ISSUER), token.url), /not valid any more/); // it works once
  await assert.rejects(clerk.actorTokens.revoke(token.id), says(400, /used|withdrawn/));
  // It can be seen, and stopped.
  assert.equal((await clerk.sessions.getSessionList({ userId: SUBJECT_ID })).data.find((session) => session.id === sid).actor.sub, ACTOR_ID);
  assert.equal((await clerk.sessions.revokeSession(sid)).status, 'revoked');
  assert.equal((await clerk.sessions.getSession(sid)).status, 'revoked');
}
console.log('done');

// signIn opens the token's address in a browser, and is the application that it leads to.
async function signIn(browser, url) {
  const start = await browser.open(url);
  assert.equal(start.parameters.iss, ISSUER);
  const verifier = randomBytes(32).toString('base64url');
  const request = new URL(`${ISSUER}/oauth2/authorize`);
  request.search = new URLSearchParams({
    client_id: CLIENT_ID,
    response_type: 'code',
    scope: 'openid profile email',
    redirect_uri: REDIRECT_URI,
    state: 'state',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    login_hint: start.parameters.login_hint, // the name of the ticket
  });
  const { parameters } = await browser.open(request);
  assert.ok(parameters.code, parameters.error_description);
  const answer = await fetch(`${ISSUER}/oauth2/token`, {
    method: 'POST',
    headers: { Authorization: `Basic ${Buffer.from(`${CLIENT_ID}:${CLIENT_SECRET}`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'authorization_code', code: parameters.code, redirect_uri: REDIRECT_URI, code_verifier: verifier }),
  });
  assert.equal(answer.status, 200, await answer.clone().text());
  return answer.json();
}

// says is the error that the SDK throws where we answer no.
function says(status, message) {
  return (err) => {
    assert.ok(isClerkAPIResponseError(err), err);
    assert.equal(err.status, status, JSON.stringify(err.errors));
    assert.match(err.errors[0].longMessage ?? err.errors[0].message, message);
    return true;
  };
}

// claims reads a JWT.
function claims(jwt) {
  return JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url').toString());
}
