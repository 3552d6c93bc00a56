/** Who is really there while somebody else is signed in. Plain data, made to be kept in a session. */
export interface Actor {
  /** `act.sub`: what to decide by, and to write into an audit log. */
  sub: string;
  /** Words to show, as `name` and `reason` are. */
  email?: string;
  name?: string;
  /** The id of the impersonation, which is the `sid` of the claims. */
  impersonation?: string;
  /** RFC 3339. No session may go on after that. */
  expires: string;
  /** Not there where only claims are known. */
  access?: Access;
  reason?: string;
  /** A page of the provider on which to stop. */
  stop_uri?: string;
}

export type Access = 'read_only' | 'full';

/**
 * It is unclear who acts: a sign-in or a request that gives this is refused.
 * Everything that cannot be read is such an error, and never "nobody acts".
 */
export class UnclearError extends Error {
  override name = 'UnclearError';
  /** What Express, Koa and others answer. */
  readonly status = 403;

  constructor(readonly detail: string) {
    super(`unclear who acts: ${detail}`);
  }
}

/**
 * Returns who acts according to verified claims: of an ID token, of an access token,
 * or of an active introspection answer; null when nobody does, that is when there is
 * no `act`. It says nothing about a token that was not verified.
 *
 * An actor for whom somebody else acts (an `act` within `act`) is refused: whoever
 * reads only the outer one would not know who is there.
 *
 * @throws {UnclearError}
 */
export function actorOf(claims: unknown): Actor | null {
  if (!isObject(claims)) throw new UnclearError('claims: not an object'); // undefined: no ID token
  subject(claims, 'sub'); // {"active": false} has none
  const act = member(claims, 'act');
  if (act === undefined) return null;
  if (!isObject(act)) throw new UnclearError('act: not an object');
  if (member(act, 'act') !== undefined) throw new UnclearError('act.act: somebody acts as the actor');
  const actor: Actor = { sub: subject(act, 'act.sub'), expires: numericDate(member(claims, 'exp')) };
  copyText(act, 'act.', 'email', (text) => (actor.email = text));
  copyText(act, 'act.', 'name', (text) => (actor.name = text));
  copyText(claims, '', 'sid', (text) => (actor.impersonation = text));
  return actor;
}

/** How a page calls the actor: by the most readable word there is. */
export function nameOf(actor: Actor): string {
  return actor.name || actor.email || actor.sub;
}

/** Whether the permission to act is over. */
export function expired(actor: Actor, now = Date.now()): boolean {
  return !(now < Date.parse(actor.expires)); // also when it says nothing
}

export type Members = Record<string, unknown>;

export function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An own member: what a prototype has was not in the token. */
export function member(from: Members, name: string): unknown {
  return Object.hasOwn(from, name) ? from[name] : undefined;
}

/** Reads a member that may be missing and must be a text otherwise. */
export function copyText(from: Members, path: string, name: string, to: (text: string) => void): void {
  const value = member(from, name);
  if (value === undefined) return;
  if (typeof value !== 'string') throw new UnclearError(`${path}${name}: not a string`);
  to(value);
}

/** The sub of claims, which has something in it to see. */
function subject(from: Members, path: string): string {
  const sub = member(from, 'sub');
  if (typeof sub !== 'string' || !/[\p{L}\p{M}\p{N}\p{P}\p{S}]/u.test(sub)) throw new UnclearError(`${path}: not a subject`);
  return sub;
}

/** The first second that RFC 3339 cannot write. */
const year10000 = 253402300800;

/** Reads seconds since the epoch (RFC 7519 section 2). */
function numericDate(seconds: unknown): string {
  if (typeof seconds !== 'number' || !(seconds >= 1 && seconds < year10000)) throw new UnclearError('exp: not a time');
  return rfc3339(Math.floor(seconds) * 1000);
}

export function rfc3339(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace('.000Z', 'Z');
}
