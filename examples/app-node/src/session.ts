import { randomBytes } from 'node:crypto';
import type { Request, RequestHandler } from 'express';
import session, { type SessionData } from 'express-session';
import memoryStore from 'memorystore';
import type { Trip, User } from './provider.js';

declare module 'express-session' {
  interface SessionData {
    trips: Trip[];
    user: User;
  }
}

const hour = 3600e3;
const maxTrips = 5; // tabs in which somebody signs in at once

/** Sessions of browsers. With more than one process, take one of express-session's other stores. */
export class Sessions {
  private readonly store = new (memoryStore(session))({ checkPeriod: hour, max: 100_000 });
  readonly middleware: RequestHandler;

  constructor(https: boolean, secret = randomBytes(32).toString('base64')) {
    this.middleware = session({
      name: https ? '__Host-shop' : 'shop',
      secret,
      store: this.store,
      resave: false,
      saveUninitialized: false,
      cookie: { httpOnly: true, sameSite: 'lax', secure: https, path: '/' },
    });
  }

  /** Ends the session that the provider calls sid, or without one each of the user. */
  async end({ sid, sub }: { sid?: string; sub?: string }): Promise<void> {
    const all = await new Promise<Record<string, SessionData>>((resolve, reject) => {
      this.store.all((err, sessions) => (err ? reject(err) : resolve((sessions ?? {}) as Record<string, SessionData>)));
    });
    for (const [id, { user }] of Object.entries(all)) {
      if (user && (sid !== undefined ? user.sid === sid : user.sub === sub)) this.store.destroy(id);
    }
  }
}

/** Keeps a trip in the browser that leaves. */
export function depart(req: Request, trip: Trip): void {
  const others = (req.session.trips ?? []).filter(({ until }) => until > Date.now());
  req.session.trips = [...others, trip].slice(-maxTrips);
}

/** Returns the trip of a state, once, and only to the browser that left. */
export function arrive(req: Request, state: unknown): Trip | undefined {
  const trips = req.session.trips ?? [];
  const trip = trips.find((t) => t.state === state && t.until > Date.now());
  if (trip) req.session.trips = trips.filter((t) => t !== trip);
  return trip;
}

/** Signs in, in a session with a fresh id: a known one would let it be planted. */
export async function signIn(req: Request, user: User): Promise<void> {
  await new Promise<void>((resolve, reject) => req.session.regenerate((err) => (err ? reject(err) : resolve())));
  req.session.user = user;
}

export async function signOut(req: Request): Promise<void> {
  await new Promise<void>((resolve, reject) => req.session.destroy((err) => (err ? reject(err) : resolve())));
}

/** Returns who is signed in. Whose time is up is nobody. */
export function currentUser(req: Request): User | undefined {
  const { user } = req.session;
  return user && Date.now() < user.until ? user : undefined;
}
