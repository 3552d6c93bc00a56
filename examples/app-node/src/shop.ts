import { assertMayWrite, assertNobodyActs, type Actor } from '@understudy/actor';
import { Problem } from './problem.js';
import type { User } from './provider.js';

export interface Order {
  id: string;
  what: string;
  price: string;
  cancelled: boolean;
}

/** What somebody did. Both names: "Ada cancelled an order" may not be what happened. */
export interface Entry {
  time: string;
  sub: string;
  actor: string | undefined;
  what: string;
}

interface Account {
  email: string | undefined;
  orders: Order[];
  log: Entry[];
}

const maxLog = 50;

/** Shop has an account for each user who was here. It ends with the process. */
export class Shop {
  private readonly accounts = new Map<string, Account>();

  account(user: User): Account {
    let account = this.accounts.get(user.sub);
    if (!account) {
      account = {
        email: user.email,
        orders: [
          { id: '4711', what: 'Desk lamp', price: '49.00', cancelled: false },
          { id: '4712', what: 'Office chair', price: '249.00', cancelled: false },
          { id: '4713', what: 'Notebooks, ten', price: '19.90', cancelled: false },
        ],
        log: [],
      };
      this.accounts.set(user.sub, account);
    }
    return account;
  }

  /** A change like most: whoever acts as the user may make it, unless they only read. */
  cancel(user: User, id: unknown): void {
    assertMayWrite(user.actor);
    const order = this.account(user).orders.find((o) => o.id === id);
    if (!order) throw new Problem(404, 'No such order', 'It is not one of yours.');
    order.cancelled = true;
    this.record(user, `Order ${order.id} cancelled`);
  }

  /** A change that staff never make for a user: whoever has the address gets the account. */
  changeEmail(user: User, email: unknown): void {
    assertNobodyActs(user.actor);
    if (typeof email !== 'string' || email.length > 254 || !/^[^\s@]+@[^\s@]+$/.test(email)) {
      throw new Problem(400, 'Not an e-mail address', 'Write it as name@example.com.');
    }
    this.account(user).email = email;
    this.record(user, 'E-mail address changed');
  }

  private record(user: User, what: string): void {
    const { log } = this.account(user);
    log.unshift({ time: new Date().toISOString(), sub: user.sub, actor: by(user.actor), what });
    log.length = Math.min(log.length, maxLog);
  }
}

function by(actor: Actor | null): string | undefined {
  return actor?.sub;
}
