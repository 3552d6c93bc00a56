import { actorOf, copyText, isObject, member, rfc3339, UnclearError, type Access, type Actor, type Members } from './actor.js';

/** `impersonation` of a token response: words about what `act` says, and no proof of it. */
export interface Impersonation {
  /** The same as `sid`. */
  id: string;
  /** RFC 3339. It is never moved. */
  expires_at: string;
  access: Access;
  /** A page of the provider on which the actor can stop it. */
  stop_uri: string;
}

/** `impersonator` of a token response. */
export interface Impersonator {
  email: string;
  reason: string;
}

/** What a token response has besides its tokens, of a client that allows impersonation. */
export interface TokenResponseMembers {
  impersonation?: Impersonation;
  impersonator?: Impersonator;
}

/**
 * `actorOf` for a sign-in: `claims` are those of the verified ID token, and `response`
 * is the token response that brought it.
 *
 * The claims alone decide whether somebody acts. What `impersonation` and
 * `impersonator` say is added to it: the end, the access, the reason, an e-mail
 * address. A response that speaks of an impersonation, and claims that do not, are
 * an error.
 *
 * @throws {UnclearError}
 */
export function actorOfResponse(claims: unknown, response: unknown): Actor | null {
  const actor = actorOf(claims);
  if (!isObject(response)) throw new UnclearError('response: not an object');
  readMember(actor, response, 'impersonation', readImpersonation);
  readMember(actor, response, 'impersonator', readImpersonator);
  return actor;
}

function readMember(actor: Actor | null, response: Members, name: string, read: (actor: Actor, what: Members) => void): void {
  const what = member(response, name);
  if (what === undefined) return;
  if (!isObject(what)) throw new UnclearError(`${name}: not an object`);
  if (!actor) throw new UnclearError(`${name}: the ID token has no act`);
  read(actor, what);
}

function readImpersonation(actor: Actor, what: Members): void {
  if (!actor.impersonation || member(what, 'id') !== actor.impersonation) {
    throw new UnclearError('impersonation.id: not the sid of the ID token');
  }
  actor.expires = timestamp(member(what, 'expires_at'));
  const access = member(what, 'access');
  if (access !== 'read_only' && access !== 'full') throw new UnclearError('impersonation.access: neither read_only nor full');
  actor.access = access;
  copyText(what, 'impersonation.', 'stop_uri', (uri) => {
    if (!isWebAddress(uri)) throw new UnclearError('impersonation.stop_uri: not a web address');
    actor.stop_uri = uri;
  });
}

function readImpersonator(actor: Actor, what: Members): void {
  copyText(what, 'impersonator.', 'email', (email) => (actor.email ||= email));
  copyText(what, 'impersonator.', 'reason', (reason) => (actor.reason = reason));
}

const dateTime = /^(\d{4})-(\d\d)-(\d\d)T([01]\d|2[0-3]):\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

/** Reads RFC 3339, and no other form: Date.parse takes many, and days that do not exist. */
function timestamp(value: unknown): string {
  const [, year, month, day] = (typeof value === 'string' && dateTime.exec(value)) || [];
  const at = Date.parse(String(value));
  if (new Date(Date.UTC(Number(year), Number(month) - 1, Number(day))).getUTCDate() !== Number(day) || Number.isNaN(at)) {
    throw new UnclearError('impersonation.expires_at: not a time');
  }
  return rfc3339(at);
}

function isWebAddress(address: string): boolean {
  try {
    return /^https?:$/.test(new URL(address).protocol);
  } catch {
    return false;
  }
}
