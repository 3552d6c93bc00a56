import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { ActingError, nameOf, staffBar, staffBarIntegrity, staffBarScript, UnclearError, verifyWebhook, WebhookError } from '@understudy/actor';
import { csrfSync } from 'csrf-sync';
import express, { type ErrorRequestHandler, type Express, type Request, type RequestHandler, type Response } from 'express';
import helmet from 'helmet';
import { AuthorizationResponseError, ClientError, ResponseBodyError } from 'openid-client';
import { Inbox } from './inbox.js';
import { Problem } from './problem.js';
import { Provider, type ProviderConfig, type User } from './provider.js';
import { arrive, currentUser, depart, Sessions, signIn, signOut } from './session.js';
import { Shop } from './shop.js';

export interface Config extends ProviderConfig {
  sessionSecret: string | undefined;
  webhookSecrets: string[];
}

const directory = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url));

export function newApp(config: Config): Express {
  const { base } = config;
  const provider = new Provider(config);
  const sessions = new Sessions(base.startsWith('https:'), config.sessionSecret);
  const shop = new Shop();
  const inbox = new Inbox();
  const { csrfSynchronisedProtection, generateToken } = csrfSync({
    getTokenFromRequest: (req) => (req.body as Record<string, unknown> | undefined)?.['csrf'] as string | undefined,
  });

  const app = express();
  app.set('views', directory('views'));
  app.set('view engine', 'ejs');
  if (base.startsWith('https:')) app.set('trust proxy', 'loopback, linklocal, uniquelocal'); // what ends TLS is near
  app.use(
    helmet({
      contentSecurityPolicy: {
        useDefaults: false,
        // No form-action: Chromium applies it to the redirects that follow a form, and ours
        // lead to the provider and wherever that sends people to sign in.
        directives: {
          defaultSrc: ["'none'"],
          scriptSrc: ["'self'"],
          styleSrc: ["'self'"],
          connectSrc: ["'self'"],
          imgSrc: ['data:'],
          baseUri: ["'none'"],
          frameAncestors: ["'none'"],
        },
      },
    }),
  );

  app.get('/style.css', (_req, res) => res.sendFile(directory('public/style.css'), { maxAge: '5m' }));
  // A copy of our own: the pages depend on no other host.
  const bar = createRequire(import.meta.url).resolve('@understudy/actor/staff-bar.js');
  app.get('/staff-bar.js', (_req, res) => res.sendFile(bar, { maxAge: '5m' }));

  // What the provider's server sends comes without a browser's cookies, and each message proves itself.
  app.post('/backchannel-logout', express.urlencoded({ extended: false, limit: '64kb' }), async (req, res) => {
    res.set('Cache-Control', 'no-store');
    try {
      await sessions.end(await provider.verifyLogoutToken((req.body as Record<string, unknown> | undefined)?.['logout_token']));
      res.status(200).end();
    } catch (err) {
      if (!(err instanceof Problem)) throw err;
      console.error(err.message, String(err.cause ?? ''));
      res.status(err.status).json({ error: 'invalid_request', error_description: err.detail });
    }
  });
  app.post('/webhooks', express.raw({ type: () => true, limit: '256kb' }), (req, res) => {
    if (config.webhookSecrets.length === 0) {
      res.status(404).end(); // not set up
      return;
    }
    try {
      // Of the bytes as they came: what a parser made of them was not signed.
      inbox.take(verifyWebhook(req.body as Buffer, req.headers, config.webhookSecrets));
      res.status(204).end();
    } catch (err) {
      if (!(err instanceof WebhookError)) throw err;
      res.status(err.status).json({ error: err.message });
    }
  });

  app.use((_req, res, next) => {
    res.set('Cache-Control', 'no-store');
    next();
  });
  app.use(sessions.middleware);
  app.use(express.urlencoded({ extended: false, limit: '64kb' }));
  app.use(csrfSynchronisedProtection); // every POST from here on

  app.get('/login', async (req, res) => {
    const { query } = req;
    const parameters: Record<string, string> = {};
    if (query['switch'] === '1') parameters['prompt'] = 'select_account'; // lets staff choose whom to sign in as
    if (query['silent'] === '1') parameters['prompt'] = 'none'; // back as themselves, without a question
    await leave(req, res, '/', parameters);
  });

  // Where others ask us to sign somebody in (OpenID Connect Core section 4). Passing
  // login_hint on is all it takes to be opened from a support console.
  app.get('/initiate-login', async (req, res) => {
    const { iss, login_hint, target_link_uri } = req.query;
    if (iss !== config.issuer) throw new Problem(400, 'Unknown sign-in service', 'The address names another one than ours.');
    await leave(req, res, ownPath(target_link_uri, base), typeof login_hint === 'string' ? { login_hint } : {});
  });

  async function leave(req: Request, res: Response, next: string, parameters: Record<string, string>): Promise<void> {
    const { url, trip } = await provider.begin(next, parameters);
    depart(req, trip);
    res.redirect(303, url.href);
  }

  app.get('/callback', async (req, res) => {
    const trip = arrive(req, req.query['state']);
    if (!trip) throw new Problem(400, 'This sign-in was not started here', 'It is unknown, already used or from another browser.');
    try {
      await signIn(req, await provider.finish(new URL(req.originalUrl, base), trip));
    } catch (err) {
      const silent = ['login_required', 'consent_required', 'interaction_required'];
      if (!(err instanceof AuthorizationResponseError && silent.includes(err.error))) throw err;
    }
    res.redirect(303, trip.next);
  });

  app.post('/logout', async (req, res) => {
    await goOut(req, res, '/');
  });

  // Stop is a logout with the ID token of the person acted as, by which the provider knows
  // to stop that and nothing else. It sends the browser back to /stopped.
  app.post('/stop', async (req, res) => {
    await goOut(req, res, currentUser(req)?.actor ? '/stopped' : '/');
  });
  app.get('/stopped', (_req, res) => res.redirect(303, '/login?silent=1')); // staff are themselves again

  async function goOut(req: Request, res: Response, returnTo: string): Promise<void> {
    const { user } = req.session; // also one whose time is up
    await signOut(req);
    res.redirect(303, user ? (await provider.endSession(user.idToken, base + returnTo)).href : '/');
  }

  // The staff bar asks whether the session goes on.
  app.get('/session', (req, res) => {
    res.status(currentUser(req) ? 200 : 401).end();
  });

  app.get('/', (req, res) => {
    const user = currentUser(req);
    if (user) show(req, res, 'orders', { orders: shop.account(user).orders });
    else show(req, res, 'welcome', {});
  });
  app.get('/profile', signedIn, (req, res) => {
    show(req, res, 'profile', { email: shop.account(userOf(req)).email });
  });
  app.get('/activity', signedIn, (req, res) => {
    const user = userOf(req);
    show(req, res, 'activity', { log: shop.account(user).log, events: inbox.about(user.sub), webhooks: config.webhookSecrets.length > 0 });
  });
  app.post('/orders/:id/cancel', signedIn, (req, res) => {
    shop.cancel(userOf(req), req.params['id']);
    res.redirect(303, '/');
  });
  app.post('/profile/email', signedIn, (req, res) => {
    shop.changeEmail(userOf(req), (req.body as Record<string, unknown>)['email']);
    res.redirect(303, '/profile');
  });

  // show adds what every page has. The views escape whatever they write by <%= %>;
  // the bar and its script are escaped already.
  function show(req: Request, res: Response, view: string, page: object): void {
    const user = currentUser(req);
    const csrf = user ? generateToken(req) : '';
    res.render(view, { user, nameOf, csrf, ...barOf(user, csrf), ...page });
  }

  const refused: ErrorRequestHandler = (err, req, res, next) => {
    if (res.headersSent) return next(err);
    const problem = asProblem(err);
    if (problem.status >= 500) console.error(err);
    res.status(problem.status);
    if (req.session) show(req, res, 'problem', { problem });
    else res.type('text').send(problem.message);
  };
  app.use((_req) => {
    throw new Problem(404, 'No such page', 'Perhaps the address was mistyped.');
  });
  app.use(refused);
  return app;
}

/** What a page of somebody who acts has more. Without scripts people see what is within the tag. */
function barOf(user: User | undefined, csrf: string): { bar: string; script: string } {
  if (!user?.actor) return { bar: '', script: '' };
  const stop = `<form id="stop-form" method="post" action="/stop"><input type="hidden" name="csrf" value="${csrf}"><button id="stop">Stop</button></form>`;
  return {
    bar: staffBar({ id: 'acting-bar', user: user.name, actor: user.actor, return: '/login?silent=1', 'session-url': '/session' }, stop),
    script: staffBarScript('/staff-bar.js', { integrity: staffBarIntegrity }),
  };
}

const signedIn: RequestHandler = (req, res, next) => {
  if (currentUser(req)) next();
  else res.redirect(303, '/');
};

function userOf(req: Request): User {
  const user = currentUser(req);
  if (!user) throw new Problem(401, 'Nobody is signed in', 'Sign in again.'); // its time ran out just now
  return user;
}

/** The path of an address of our own, and `/` for any other: we lead nobody elsewhere. */
export function ownPath(address: unknown, base: string): string {
  try {
    const url = new URL(String(address));
    // Two slashes at the beginning would be another host.
    return url.origin === new URL(base).origin && !/^\/[/\\]/.test(url.pathname) ? url.pathname + url.search : '/';
  } catch {
    return '/';
  }
}

/** What a visitor may know of an error. */
function asProblem(err: unknown): Problem {
  if (err instanceof Problem) return err;
  if (err instanceof ActingError) return new Problem(err.status, 'Not while you act as somebody', `${err.message}.`);
  if (err instanceof UnclearError) return new Problem(err.status, 'Not signed in', 'It is unclear who is really there.', err);
  if (err instanceof AuthorizationResponseError) return new Problem(400, 'Not signed in', err.error_description ?? err.error, err);
  if (err instanceof ResponseBodyError || err instanceof ClientError) {
    return new Problem(400, 'Not signed in', 'The answer of the sign-in service is not acceptable.', err);
  }
  const status = (err as { status?: unknown } | null)?.status; // of Express, its parsers and csrf-sync
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return new Problem(status, 'That cannot be done', 'The page was too old, or the request not ours. Go back, and try again.', err);
  }
  return new Problem(500, 'Something went wrong', 'The log has the details.', err);
}
