import { nameOf, type Actor } from './actor.js';

/** The attributes of `<staff-bar>`: docs/staff-bar.md says what they do. */
export interface StaffBarAttributes {
  user?: string | undefined;
  actor?: string | undefined;
  organization?: string | undefined;
  access?: string | undefined;
  reason?: string | undefined;
  expires?: string | undefined;
  stop?: string | undefined;
  return?: string | undefined;
  position?: 'top' | 'bottom' | undefined;
  'session-url'?: string | undefined;
}

/** What the bar says besides what the actor does. */
export interface StaffBar extends Omit<StaffBarAttributes, 'actor' | 'access' | 'reason' | 'expires'> {
  /** Whose data this is. */
  user: string;
  actor: Actor;
  id?: string;
  lang?: string;
}

/**
 * Returns the tag as HTML, with every attribute escaped. `content` is HTML of yours, as
 * it is: what people see without scripts, and in it the form that Stop sends.
 */
export function staffBar({ actor, ...bar }: StaffBar, content = ''): string {
  const attributes = { ...bar, actor: nameOf(actor), access: actor.access, reason: actor.reason, expires: actor.expires };
  return `<staff-bar${written(attributes)}>${content}</staff-bar>`;
}

/**
 * Returns the script's tag as HTML. Give `staffBarIntegrity` with a copy of your own, and
 * no integrity with the provider's, which may change when that is upgraded.
 */
export function staffBarScript(src: string, options: { integrity?: string; nonce?: string } = {}): string {
  return `<script${written({ src, ...options, crossorigin: 'anonymous' })} defer></script>`;
}

function written(attributes: Record<string, string | undefined>): string {
  return Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}="${escape(String(value))}"`)
    .join('');
}

function escape(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? '');
}
