import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { staffBar, staffBarIntegrity, staffBarScript, type Actor } from '@understudy/actor';

const actor: Actor = { sub: 'usr_sam', name: 'Sam Support', expires: '2026-11-21T22:26:40Z', access: 'read_only', reason: 'Invoice 4711' };

test('the tag', () => {
  assert.equal(
    staffBar({ user: 'Ada Lovelace', actor, return: '/login', 'session-url': '/session' }, '<form></form>'),
    '<staff-bar user="Ada Lovelace" return="/login" session-url="/session" actor="Sam Support" access="read_only" ' +
      'reason="Invoice 4711" expires="2026-11-21T22:26:40Z"><form></form></staff-bar>',
  );
});

test('what is not known is left out', () => {
  assert.equal(
    staffBar({ user: 'Ada', actor: { sub: 'usr_sam', expires: '2026-11-21T22:26:40Z' } }),
    '<staff-bar user="Ada" actor="usr_sam" expires="2026-11-21T22:26:40Z"></staff-bar>',
  );
});

test('hostile words stay words', () => {
  const hostile = `"><script>alert('1')</script>&quot;`;
  const tag = staffBar({ user: hostile, actor: { ...actor, name: hostile, reason: hostile }, stop: hostile });
  assert.equal(tag.match(/[<>]/g)?.length, 4);
  assert.equal(tag.match(/"/g)?.length, 12);
  assert.ok(tag.includes('user="&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;quot;"'));
});

test('the script', () => {
  assert.equal(staffBarScript('/bar.js?a&b'), '<script src="/bar.js?a&amp;b" crossorigin="anonymous" defer></script>');
  assert.equal(
    staffBarScript('/bar.js', { integrity: staffBarIntegrity, nonce: 'n' }),
    `<script src="/bar.js" integrity="${staffBarIntegrity}" nonce="n" crossorigin="anonymous" defer></script>`,
  );
  const copy = readFileSync(createRequire(import.meta.url).resolve('@understudy/actor/staff-bar.js'));
  assert.equal(staffBarIntegrity, `sha384-${createHash('sha384').update(copy).digest('base64')}`);
});
