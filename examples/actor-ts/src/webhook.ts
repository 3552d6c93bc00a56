import { Webhook } from 'standardwebhooks';
import { isObject, member } from './actor.js';

/** Types of events that applications care about. There are others, and more may come: ignore what you do not know. */
export type EventType =
  | 'session.created'
  | 'session.revoked'
  | `impersonation.${'requested' | 'approved' | 'started' | 'denied' | 'stopped' | 'expired' | 'reported' | 'withdrawn'}`
  | `support_access.${'changed' | 'requested'}`
  | 'token.issued'
  | 'webhook.test';

/** One record of the provider's audit log. Members that say nothing are left out. */
export interface WebhookEvent {
  /** The same when the event comes again. */
  id: string;
  type: EventType | (string & {});
  /** RFC 3339. */
  time: string;
  /** Who did it; without one it was the provider itself. */
  actor?: string;
  /** Whom it concerns. */
  subject?: string;
  client?: string;
  organization?: string;
  impersonation?: string;
  /** Of a session that an impersonation made; both are empty once they were erased from the record. */
  impersonator?: { email: string; reason: string };
  reason?: string;
  ticket_ref?: string;
  ip?: string;
  user_agent?: string;
  request_id?: string;
  /** What its type has besides. */
  data: Record<string, unknown>;
}

/** A message that is not from the provider, is too old, or was changed. Answer 400. */
export class WebhookError extends Error {
  override name = 'WebhookError';
  readonly status = 400;
}

type Headers = { get(name: string): string | null } | Record<string, string | string[] | undefined>;

/**
 * Returns the event of a message (Standard Webhooks 1.0), its `data`, once its signature
 * and its age are verified. `body` is what came, byte for byte, before any JSON parser.
 * While a secret is replaced, give both. The same event may come again.
 *
 * @throws {WebhookError} and, for a secret that is none, an Error
 */
export function verifyWebhook(body: string | Uint8Array, headers: Headers, secrets: string | readonly string[]): WebhookEvent {
  const webhooks = [secrets].flat().map((secret) => new Webhook(secret));
  if (webhooks.length === 0) throw new Error('no webhook secret');
  const signed = Object.fromEntries(
    ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) => [name, header(headers, name)]),
  );
  let problem: unknown;
  for (const webhook of webhooks) {
    try {
      const text = typeof body === 'string' ? body : new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
      return event(webhook.verify(text, signed));
    } catch (err) {
      problem = err;
    }
  }
  throw problem instanceof WebhookError ? problem : new WebhookError('not a message of the provider', { cause: problem });
}

function header(headers: Headers, name: string): string {
  const value = typeof headers.get === 'function' ? headers.get(name) : (headers as Record<string, unknown>)[name];
  return typeof value === 'string' ? value : '';
}

function event(message: unknown): WebhookEvent {
  const data = isObject(message) ? member(message, 'data') : undefined;
  if (!isObject(data) || !['id', 'type', 'time'].every((name) => typeof member(data, name) === 'string')) {
    throw new WebhookError('not an event');
  }
  return data as unknown as WebhookEvent;
}
