// The web server of the three programs for Node.js. It knows no library: yours,
// and your framework's sessions, take its place.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

const { PORT = '0', BASE_URL } = process.env;

// With more than one process these go into a store that all of them share.
const trips = new Map(); // browsers that are at the provider
const sessions = new Map(); // browsers that are signed in

// serve answers for a relying party, and prints its address as a line of JSON.
export function serve(party) {
  let base = BASE_URL;

  const routes = {
    'GET /': async (req, res) => {
      res.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end(home);
    },

    'GET /login': async (req, res) => {
      const asked = new URL(req.url, base).searchParams;
      const passedOn = ['scope', 'prompt', 'response_mode', 'login_hint'].filter((name) => asked.has(name));
      const parameters = Object.fromEntries(passedOn.map((name) => [name, asked.get(name)]));
      const { url, trip } = await party.begin(`${base}/callback`, parameters);
      redirect(res, url, cookie('trip', remember(trips, trip, 10 * 60e3)));
    },

    'GET /callback': callback,
    'POST /callback': callback, // response_mode=form_post

    'GET /me': async (req, res) => {
      json(res, 200, await about(signedIn(req)));
    },

    'POST /refresh': async (req, res) => {
      const session = signedIn(req);
      if (!session.tokens.refresh_token) throw new Problem('no_refresh_token');
      // One at a time: a refresh token that is used twice looks stolen.
      session.renewing ??= party.renew(session).finally(() => delete session.renewing);
      await session.renewing;
      json(res, 200, await about(session));
    },

    'POST /logout': async (req, res) => {
      const session = signedIn(req);
      sessions.delete(cookieOf(req, 'session'));
      redirect(res, party.endSession(session, `${base}/`), cookie('session', ''));
    },
  };

  async function callback(req, res) {
    const id = cookieOf(req, 'trip');
    const trip = trips.get(id);
    if (!trip) throw new Problem('not_started_here');
    trips.delete(id); // it is for one answer
    const answer = { method: req.method };
    if (req.method === 'POST') {
      answer.headers = { 'Content-Type': req.headers['content-type'] ?? '' };
      answer.body = await read(req);
    }
    const session = await party.finish(new Request(new URL(req.url, base), answer), trip);
    sessions.delete(cookieOf(req, 'session')); // a new sign-in is a new session
    redirect(res, '/me', cookie('trip', ''), cookie('session', remember(sessions, session, session.until - Date.now())));
  }

  async function about(session) {
    const { claims, tokens } = session;
    return {
      claims,
      act: claims.act ?? null, // who is really here
      userinfo: await party.userinfo(session),
      refreshable: Boolean(tokens.refresh_token),
      impersonation: tokens.impersonation, // words for a page; only act decides
      impersonator: tokens.impersonator,
    };
  }

  // The POST of form_post comes from another site. To have the trip with it, its
  // cookie is SameSite=None, which browsers take from https only.
  function cookie(name, value) {
    const secure = base.startsWith('https:');
    const sameSite = name === 'trip' && secure ? 'None; Secure' : secure ? 'Lax; Secure' : 'Lax';
    return `${name}=${value}; Path=/; HttpOnly; SameSite=${sameSite}${value ? '' : '; Max-Age=0'}`;
  }

  const server = createServer(async (req, res) => {
    try {
      const route = routes[`${req.method} ${req.url.split('?')[0]}`];
      if (!route) throw new Problem('not_found');
      await route(req, res);
    } catch (err) {
      // error is what the provider said, code what the library found.
      json(res, 400, { error: err.error ?? err.code ?? err.name, message: err.error_description ?? err.message });
    }
  });
  server.listen(Number(PORT), '127.0.0.1', () => {
    base ||= `http://127.0.0.1:${server.address().port}`;
    console.log(JSON.stringify({ address: base }));
  });
}

class Problem extends Error {
  constructor(error) {
    super(error);
    this.error = error;
  }
}

function signedIn(req) {
  const session = sessions.get(cookieOf(req, 'session'));
  if (!session) throw new Problem('not_signed_in');
  return session;
}

function remember(map, value, milliseconds) {
  const id = randomUUID();
  map.set(id, value);
  setTimeout(() => map.delete(id), milliseconds).unref();
  return id;
}

function cookieOf(req, name) {
  const found = (req.headers.cookie ?? '').split('; ').find((c) => c.startsWith(`${name}=`));
  return found?.slice(name.length + 1);
}

async function read(req) {
  let body = '';
  for await (const chunk of req) {
    body += chunk;
    if (body.length > 65536) throw new Problem('too_long');
  }
  return body;
}

function redirect(res, to, ...cookies) {
  res.writeHead(303, { Location: String(to), 'Set-Cookie': cookies, 'Cache-Control': 'no-store' }).end();
}

function json(res, status, value) {
  res.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
  res.end(`${JSON.stringify(value, null, 2)}\n`);
}

const home = `<!doctype html>
<html lang="en"><title>A relying party</title>
<p><a href="/login">Sign in</a> · <a href="/login?response_mode=form_post">with form_post</a> ·
<a href="/login?prompt=select_account">as somebody else</a> · <a href="/me">Who am I?</a></p>
<form method="post"><button formaction="/refresh">Refresh</button> <button formaction="/logout">Sign out</button></form>
`;
