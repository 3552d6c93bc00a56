import { expired, UnclearError, type Actor } from './actor.js';

/** What an actor may not do. `status` and `expose` are what Express, Koa and others answer by. */
export class ActingError extends Error {
  override name = 'ActingError';
  readonly status: 401 | 403;
  readonly expose = true;

  constructor(readonly code: 'acting' | 'read_only' | 'expired', message: string) {
    super(message);
    this.status = code === 'expired' ? 401 : 403;
  }
}

/**
 * Throws while somebody acts. It belongs before what staff never do for a user: a new
 * password or e-mail address, API keys, payments, consent, the end of the account.
 *
 * `undefined` throws too: that nobody said who acts is not nobody.
 *
 * @throws {ActingError | UnclearError}
 */
export function assertNobodyActs(actor: Actor | null | undefined): asserts actor is null {
  if (known(actor)) throw new ActingError('acting', 'Not while somebody acts as the user');
}

/**
 * Throws for an actor who may only read, for one of whom it is not known, and for one
 * whose time is up. It belongs before every change. An API that checks the scopes of access
 * tokens needs it not: a read-only impersonation has no others.
 *
 * @throws {ActingError | UnclearError}
 */
export function assertMayWrite(actor: Actor | null | undefined): asserts actor is Actor | null {
  if (!known(actor)) return;
  if (expired(actor)) throw new ActingError('expired', 'The permission to act is over');
  if (actor.access !== 'full') throw new ActingError('read_only', 'Whoever acts as the user may only read');
}

function known(actor: Actor | null | undefined): actor is Actor {
  if (actor === undefined) throw new UnclearError('nobody said who acts');
  return actor !== null;
}
