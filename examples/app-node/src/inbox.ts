import type { WebhookEvent } from '@understudy/actor';

const kept = 200;

/** Inbox keeps the last events that the provider sent. */
export class Inbox {
  private readonly events = new Map<string, WebhookEvent>(); // by id, oldest first

  /** An event that comes again is the same one. */
  take(event: WebhookEvent): void {
    this.events.set(event.id, event);
    for (const id of this.events.keys()) {
      if (this.events.size <= kept) break;
      this.events.delete(id);
    }
  }

  /** Returns what is about a user, the latest first. */
  about(sub: string): WebhookEvent[] {
    return [...this.events.values()].filter((event) => event.subject === sub).reverse();
  }
}
