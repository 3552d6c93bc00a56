// Who is really there, when support staff act as a user of your application.
export { actorOf, expired, nameOf, UnclearError, type Access, type Actor } from './actor.js';
export { actorOfResponse, type Impersonation, type Impersonator, type TokenResponseMembers } from './response.js';
export { ActingError, assertMayWrite, assertNobodyActs } from './guard.js';
export { staffBar, staffBarScript, type StaffBar, type StaffBarAttributes } from './staff-bar.js';
export { staffBarIntegrity } from './integrity.js';
export { verifyWebhook, WebhookError, type EventType, type WebhookEvent } from './webhook.js';
