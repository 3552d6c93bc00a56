// A small shop that people sign in to, and staff of the provider as one of them.
// Read provider.ts for the protocol, session.ts for what is remembered, app.ts for
// the routes, shop.ts for what an application does.
import './webcrypto.js';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { newApp } from './app.js';

const { ISSUER = 'http://127.0.0.1:8080', CLIENT_ID = 'shop', CLIENT_SECRET, PORT = '8082', BASE_URL, SESSION_SECRET, WEBHOOK_SECRET } = process.env;
if (!CLIENT_SECRET) {
  console.error('CLIENT_SECRET is needed: `understudy client create` prints it once');
  process.exit(2);
}

const server = createServer();
server.listen(Number(PORT), '127.0.0.1', () => {
  const base = BASE_URL || `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  server.on(
    'request',
    newApp({
      issuer: ISSUER,
      clientId: CLIENT_ID,
      clientSecret: CLIENT_SECRET,
      base: base.replace(/\/$/, ''),
      sessionSecret: SESSION_SECRET || undefined,
      webhookSecrets: WEBHOOK_SECRET?.split(' ').filter(Boolean) ?? [], // two while one is replaced
    }),
  );
  console.log(JSON.stringify({ address: base }));
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => server.close());
