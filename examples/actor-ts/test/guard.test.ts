import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ActingError, assertMayWrite, assertNobodyActs, UnclearError, type Actor } from '@understudy/actor';

const later = new Date(Date.now() + 3600e3).toISOString();
const full: Actor = { sub: 'usr_sam', expires: later, access: 'full' };
const unknown: Actor = { sub: 'usr_sam', expires: later };

const cases: [name: string, actor: Actor | null | undefined, nobody?: object, write?: object][] = [
  ['nobody', null],
  ['full access', full, { code: 'acting', status: 403 }],
  ['read only', { ...full, access: 'read_only' }, { code: 'acting' }, { code: 'read_only', status: 403 }],
  ['access not known', unknown, { code: 'acting' }, { code: 'read_only' }],
  ['expired', { ...full, expires: '2026-01-01T00:00:00Z' }, { code: 'acting' }, { code: 'expired', status: 401 }],
  ['nobody said', undefined, { name: 'UnclearError' }, { name: 'UnclearError' }],
];

for (const [name, actor, nobody, write] of cases) {
  test(name, () => {
    check(() => assertNobodyActs(actor), nobody);
    check(() => assertMayWrite(actor), write);
  });
}

function check(run: () => void, want?: object): void {
  if (want) assert.throws(run, want);
  else assert.doesNotThrow(run);
}

test('errors are of their classes', () => {
  assert.throws(() => assertNobodyActs(full), ActingError);
  assert.throws(() => assertNobodyActs(undefined), UnclearError);
});

// That this compiles is the test: after the assertion TypeScript knows.
test('types are narrowed', () => {
  const actor: Actor | null = null as Actor | null;
  assertNobodyActs(actor);
  const nobody: null = actor;
  assert.equal(nobody, null);
});
