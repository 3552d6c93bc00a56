import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { actorOf, actorOfResponse, expired, nameOf, UnclearError, type Actor } from '@understudy/actor';

interface Vector {
  name: string;
  claims: unknown;
  response?: unknown;
  want?: Actor | null;
  error?: string;
}

// The package for Go decides the same cases in the same way.
const vectors = JSON.parse(readFileSync(new URL('../../../actor/testdata/vectors.json', import.meta.url), 'utf8')) as Vector[];

for (const { name, claims, response, want, error } of vectors) {
  test(name, () => {
    const read = () => (response === undefined ? actorOf(claims) : actorOfResponse(claims, response));
    if (error === undefined) {
      assert.deepEqual(read(), want);
    } else {
      assert.throws(read, (err) => err instanceof UnclearError && err.detail === error && err.status === 403);
    }
  });
}

// What only JavaScript can be given.
test('claims that are none', () => {
  for (const claims of [undefined, null, [], [{ sub: 'usr_ada' }], 'usr_ada', 0, true, () => {}]) {
    assert.throws(() => actorOf(claims), UnclearError);
    assert.throws(() => actorOfResponse(claims, {}), UnclearError);
  }
  for (const response of [undefined, null, [], 'Bearer']) {
    assert.throws(() => actorOfResponse({ sub: 'usr_ada' }, response), UnclearError);
  }
  for (const exp of [NaN, Infinity, 1n, new Date(), undefined]) {
    assert.throws(() => actorOf({ sub: 'usr_ada', act: { sub: 'usr_sam' }, exp }), UnclearError);
  }
});

test('what a prototype has is no claim', () => {
  const act = Object.create({ sub: 'usr_sam' }) as object;
  assert.throws(() => actorOf({ sub: 'usr_ada', act, exp: 1795300000 }), { detail: 'act.sub: not a subject' });
  assert.equal(actorOf({ sub: 'usr_ada', act: undefined }), null);
});

test('names and ends', () => {
  const actor: Actor = { sub: 'usr_sam', expires: '2026-11-21T22:26:40Z' };
  assert.equal(nameOf(actor), 'usr_sam');
  assert.equal(nameOf({ ...actor, name: '', email: 'sam@example.test' }), 'sam@example.test');
  assert.equal(nameOf({ ...actor, name: 'Sam Support', email: 'sam@example.test' }), 'Sam Support');
  assert.equal(expired(actor, Date.parse(actor.expires) - 1), false);
  assert.equal(expired(actor, Date.parse(actor.expires)), true);
  assert.equal(expired({ ...actor, expires: 'never' }), true);
});
