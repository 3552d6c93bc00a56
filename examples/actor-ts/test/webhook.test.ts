import assert from 'node:assert/strict';
import { test } from 'node:test';
import { verifyWebhook, WebhookError } from '@understudy/actor';
import { Webhook } from 'standardwebhooks';

const secret = `whsec_${Buffer.from('a secret of a test, 32 bytes long').toString('base64')}`;
const other = `whsec_${Buffer.from('another secret of the test, as long').toString('base64')}`;
const time = '2026-11-21T14:14:00Z';
const event = { id: 'evt_1', type: 'impersonation.started', time, actor: 'usr_sam', subject: 'usr_ada', reason: 'Größe 4711', data: {} };
const body = JSON.stringify({ type: event.type, timestamp: time, data: event });

function headers(text = body, { by = secret, at = new Date() } = {}): Record<string, string> {
  return {
    'webhook-id': 'msg_1',
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': new Webhook(by).sign('msg_1', at, text),
  };
}

test('a message of the provider', () => {
  for (const sent of [body, Buffer.from(body), new Uint8Array(Buffer.from(body))]) {
    assert.deepEqual(verifyWebhook(sent, headers(), secret), event);
  }
  assert.equal(verifyWebhook(body, new Headers(headers()), secret).id, 'evt_1');
  assert.equal(verifyWebhook(body, headers(body, { by: other }), [secret, other]).id, 'evt_1');
});

const minutes = 60e3;
for (const [name, sent, signed] of [
  ['another secret', body, headers(body, { by: other })],
  ['another body', body.replace('started', 'stopped'), headers()],
  ['an old message', body, headers(body, { at: new Date(Date.now() - 6 * minutes) })],
  ['a message of the future', body, headers(body, { at: new Date(Date.now() + 6 * minutes) })],
  ['no headers', body, {}],
  ['another id', body, { ...headers(), 'webhook-id': 'msg_2' }],
  ['another time', body, { ...headers(), 'webhook-timestamp': String(Math.floor(Date.now() / 1000) - 1) }],
  ['an empty signature', body, { ...headers(), 'webhook-signature': 'v1,' }],
  ['a list for a header', body, { ...headers(), 'webhook-signature': [headers()['webhook-signature']] }],
  ['no JSON', 'event', headers('event')],
  ['no message', '[]', headers('[]')],
  ['a message without an event', '{"type":"x"}', headers('{"type":"x"}')],
  ['an event without a type', '{"data":{"id":"evt_1","time":"t"}}', headers('{"data":{"id":"evt_1","time":"t"}}')],
  ['no text', new Uint8Array([0xff]), headers()],
] as [string, string | Uint8Array, Record<string, string>][]) {
  test(name, () => {
    assert.throws(() => verifyWebhook(sent, signed, secret), (err) => err instanceof WebhookError && err.status === 400);
  });
}

test('a secret that is none is a mistake of the application', () => {
  for (const secrets of ['', [], [secret, '']]) {
    assert.throws(() => verifyWebhook(body, headers(), secrets), (err) => !(err instanceof WebhookError));
  }
});
