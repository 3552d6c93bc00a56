// Descope's SDK, as it is published, against Understudy. ../README.md says how to run it.
import assert from 'node:assert/strict';
import DescopeClient from '@descope/node-sdk';

const { ISSUER, CLIENT_ID, API_KEY, ACTOR, SUBJECT, TENANT } = process.env;

// What changes in an application that leaves Descope: where its API is, and the key.
// The project is an application here.
const descope = DescopeClient({ projectId: CLIENT_ID, managementKey: API_KEY, baseUrl: ISSUER });
const { jwt } = descope.management;

// consent says in the user's place whether they allow it. The SDK for Node.js has no
// method for that; those of other languages do.
async function consent(impersonationConsent) {
  const answer = await fetch(`${ISSUER}/v1/mgmt/user/update/impersonationConsent`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${CLIENT_ID}:${API_KEY}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ loginId: SUBJECT, impersonationConsent }),
  });
  assert.equal(answer.status, 200, await answer.text());
}

// Support finds the user.
const { data: user } = await descope.management.user.load(SUBJECT);
assert.equal((await descope.management.user.search({ text: SUBJECT })).data.users[0].userId, user.userId);

// 1. With validateConsent the user has to have allowed it.
{
  await consent(false);
  const refused = await jwt.impersonate(ACTOR, SUBJECT, true, {}, TENANT);
  assert.equal(refused.ok, false);
  assert.equal(refused.code, 403);
  assert.match(refused.error.errorMessage, /not allowed support/);
  console.log(`refused: ${refused.error.errorMessage}`);
}

// 2. They allow it.
await consent(true);

// 3. Support signs in as them, with a claim of ours.
const started = await jwt.impersonate(ACTOR, SUBJECT, true, { plan: 'gold', impersonation_reason: 'Cannot see invoice 4711' }, TENANT);
assert.ok(started.ok, JSON.stringify(started.error));
const { token } = await descope.validateJwt(started.data.jwt);
assert.equal(token.iss, CLIENT_ID);
assert.equal(token.drn, 'DSR');
assert.equal(token.plan, 'gold');
assert.equal(token.impersonation_reason, undefined); // it is for the record, not for the application
assert.equal(token.dct, TENANT);
assert.ok(TENANT in token.tenants);
assert.ok(token.act.sub);
assert.notEqual(token.act.sub, token.sub);
await descope.validateSession(started.data.jwt, { audience: CLIENT_ID });
console.log(`${token.act.sub} is signed in as ${token.sub}`);

// 4. Their application keeps the refresh JWT and gets session JWTs for it.
const session = await descope.refreshSession(started.data.jwt);
assert.equal(session.token.drn, 'DS');
assert.equal(session.token.sub, token.sub);
assert.deepEqual(session.token.act, token.act);
assert.equal(session.token.plan, 'gold');
assert.ok(session.token.exp <= token.exp);
assert.equal(descope.getMatchedTenantRoles(session, TENANT, []).length, 0);

// 5. Stop: the actor is themselves again, and the other JWT gives nothing more.
const stopped = await jwt.stopImpersonation(started.data.jwt);
assert.ok(stopped.ok, JSON.stringify(stopped.error));
const own = (await descope.validateJwt(stopped.data.jwt)).token;
assert.equal(own.sub, token.act.sub);
assert.equal(own.act, undefined);
await assert.rejects(descope.refreshSession(started.data.jwt), /ended/);
const again = await jwt.stopImpersonation(started.data.jwt);
assert.equal(again.ok, false);
const another = await jwt.impersonate(ACTOR, SUBJECT, true, {}, TENANT); // signing out ends it, too
assert.equal((await descope.me(another.data.jwt)).data.userId, user.userId);
assert.ok((await descope.logout(another.data.jwt)).ok);
await assert.rejects(descope.refreshSession(another.data.jwt), /ended/);
console.log(`stopped: ${own.sub} is ${own.sub} again`);

// 6. What is refused, and how the SDK says so.
const refusals = {
  'somebody who may not': [await jwt.impersonate(SUBJECT, ACTOR, false), 403, /may not sign in as|nobody of this name/i],
  'nobody of that name': [await jwt.impersonate(ACTOR, 'nobody@nowhere.example', false), 403, /user/i],
  themselves: [await jwt.impersonate(ACTOR, ACTOR, false), 403, /same user/],
  'another tenant': [await jwt.impersonate(ACTOR, SUBJECT, false, {}, 'org_elsewhere'), 403, /organization/],
  'a claim of the standards': [await jwt.impersonate(ACTOR, SUBJECT, false, { act: { sub: 'nobody' } }), 400, /act/],
  'a reason that says nothing': [await jwt.impersonate(ACTOR, SUBJECT, false, { impersonation_reason: 'x' }), 400, /reason/i],
  'a JWT that is none': [await jwt.stopImpersonation('nonsense'), 400, /JWT/],
};
for (const [what, [answer, code, message]] of Object.entries(refusals)) {
  assert.equal(answer.ok, false, what);
  assert.equal(answer.code, code, `${what}: ${JSON.stringify(answer.error)}`);
  assert.match(answer.error.errorMessage, message, what);
  assert.ok(answer.error.errorCode && answer.error.errorDescription, what);
}
{
  const elsewhere = await descope.management.user.activate(SUBJECT);
  assert.equal(elsewhere.ok, false);
  assert.equal(elsewhere.code, 404);
  assert.match(elsewhere.error.errorMessage, /not here/);
  const stranger = DescopeClient({ projectId: CLIENT_ID, managementKey: 'usk_nonsense', baseUrl: ISSUER });
  const answer = await stranger.management.jwt.impersonate(ACTOR, SUBJECT, false);
  assert.equal(answer.ok, false);
  assert.equal(answer.code, 401);
}
console.log('done');
