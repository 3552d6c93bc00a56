import { actorOfResponse, type Actor } from '@understudy/actor';
import { createRemoteJWKSet, errors, jwtVerify } from 'jose';
import * as client from 'openid-client';
import { Problem } from './problem.js';

export interface ProviderConfig {
  issuer: string;
  clientId: string;
  clientSecret: string;
  base: string;
}

/** A visit to the provider that has not come back yet. */
export interface Trip {
  state: string;
  nonce: string;
  verifier: string;
  /** Where to go afterwards, a path of ours. */
  next: string;
  until: number;
}

/** Somebody signed in. */
export interface User {
  sub: string;
  /** The provider's name for this sign-in, for back-channel logout. */
  sid: string | undefined;
  name: string;
  email: string | undefined;
  /** As received: the id_token_hint of the logout. */
  idToken: string;
  /** Who is really here; null when people are themselves. */
  actor: Actor | null;
  until: number;
}

const tripLife = 10 * 60e3;
const sessionLife = 8 * 3600e3;

/** Provider is the sign-in service. */
export class Provider {
  private discovered: Promise<client.Configuration> | undefined;
  private keys: ReturnType<typeof createRemoteJWKSet> | undefined;

  constructor(private readonly config: ProviderConfig) {}

  /** Discovers once. A failure is not remembered: the next request asks again. */
  private discover(): Promise<client.Configuration> {
    const { issuer, clientId, clientSecret } = this.config;
    this.discovered ??= client
      .discovery(new URL(issuer), clientId, { id_token_signed_response_alg: 'RS256' }, client.ClientSecretBasic(clientSecret), {
        execute: [
          client.enableNonRepudiationChecks, // check the ID token's signature, and not only whom it came from
          // Only for an issuer on this machine, without TLS.
          ...(/^http:\/\/127\.0\.0\.1[:/]/.test(`${issuer}/`) ? [client.allowInsecureRequests] : []),
        ],
      })
      .catch((err: unknown) => {
        this.discovered = undefined;
        throw new Problem(502, 'The sign-in service cannot be reached', 'Try again in a moment.', err);
      });
    return this.discovered;
  }

  /** Returns where to send the browser, and what to keep until it is back. */
  async begin(next: string, parameters: Record<string, string>): Promise<{ url: URL; trip: Trip }> {
    const config = await this.discover();
    const trip: Trip = {
      state: client.randomState(),
      nonce: client.randomNonce(),
      verifier: client.randomPKCECodeVerifier(),
      next,
      until: Date.now() + tripLife,
    };
    const url = client.buildAuthorizationUrl(config, {
      ...parameters,
      scope: 'openid profile email',
      redirect_uri: `${this.config.base}/callback`,
      state: trip.state,
      nonce: trip.nonce,
      code_challenge: await client.calculatePKCECodeChallenge(trip.verifier),
      code_challenge_method: 'S256',
    });
    return { url, trip };
  }

  /**
   * Makes a user of the provider's answer. Checked are state, iss and PKCE, and the ID
   * token's signature, iss, aud, exp and nonce; and then who acts.
   */
  async finish(answer: URL, trip: Trip): Promise<User> {
    const config = await this.discover();
    const tokens = await client.authorizationCodeGrant(config, answer, {
      expectedState: trip.state,
      expectedNonce: trip.nonce,
      pkceCodeVerifier: trip.verifier,
      idTokenExpected: true,
    });
    const claims = tokens.claims();
    const actor = actorOfResponse(claims, tokens); // refuses what it cannot read
    if (!claims || !tokens.id_token) throw new Error('no ID token');
    const about = await client.fetchUserInfo(config, tokens.access_token, claims.sub); // compares sub
    return {
      sub: claims.sub,
      sid: typeof claims['sid'] === 'string' ? claims['sid'] : undefined,
      name: about.name ?? about.email ?? claims.sub,
      email: about.email,
      idToken: tokens.id_token,
      actor,
      // Our session must not outlive the permission to act.
      until: actor ? Date.parse(actor.expires) : Date.now() + sessionLife,
    };
  }

  /** Returns where to sign out. The ID token of an impersonation ends that and nothing else. */
  async endSession(idToken: string, returnTo: string): Promise<URL> {
    return client.buildEndSessionUrl(await this.discover(), { id_token_hint: idToken, post_logout_redirect_uri: returnTo });
  }

  /**
   * Verifies a logout token (OpenID Connect Back-Channel Logout 1.0 section 2.6) and
   * returns which session it ends. A replayed one finds nothing left to end, so its
   * jti is not kept.
   */
  async verifyLogoutToken(token: unknown): Promise<{ sid?: string; sub?: string }> {
    if (typeof token !== 'string') throw new Problem(400, 'Bad logout token', 'There is none.');
    const { jwks_uri } = (await this.discover()).serverMetadata();
    this.keys ??= createRemoteJWKSet(new URL(String(jwks_uri)));
    const { payload } = await jwtVerify(token, this.keys, {
      typ: 'logout+jwt', // no other token of this issuer passes
      algorithms: ['RS256'],
      issuer: this.config.issuer,
      audience: this.config.clientId,
      requiredClaims: ['iat', 'exp', 'jti'],
    }).catch((err: unknown) => {
      // 400 is final, so not when it is the keys that could not be fetched.
      const final = err instanceof errors.JOSEError && err.code !== 'ERR_JOSE_GENERIC' && !(err instanceof errors.JWKSTimeout);
      throw new Problem(final ? 400 : 503, 'Bad logout token', 'It cannot be verified.', err);
    });
    const { sid, sub, events, nonce } = payload;
    const logout = (events as Record<string, unknown> | null | undefined)?.['http://schemas.openid.net/event/backchannel-logout'];
    if (typeof logout !== 'object' || logout === null || nonce !== undefined) {
      throw new Problem(400, 'Bad logout token', 'It is no logout token.');
    }
    if (typeof sid === 'string' && sid) return { sid };
    if (typeof sub === 'string' && sub) return { sub };
    throw new Problem(400, 'Bad logout token', 'It names no session.');
  }
}
