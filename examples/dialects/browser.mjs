// A person with a browser, for the scripts: cookies, redirects and forms.

export class Browser {
  #cookies = new Map();

  constructor(issuer) {
    this.issuer = issuer;
  }

  // open goes to an address and on, through the pages of the provider, until the
  // application is reached. person signs in where it is asked for; choices are what
  // they fill in on other pages. It returns where the application was reached, and
  // what the provider sent there: {url, method, parameters}.
  async open(address, { person, password, choices = {} } = {}) {
    let at = new URL(address);
    let page = await this.#fetch(at);
    for (let step = 0; step < 12; step++) {
      const location = page.headers.get('location');
      if (location) {
        at = new URL(location, at);
        if (at.origin !== new URL(this.issuer).origin) {
          const parameters = new URLSearchParams(at.hash ? at.hash.slice(1) : at.search);
          return { url: at, method: 'GET', parameters: Object.fromEntries(parameters) };
        }
        page = await this.#fetch(at);
        continue;
      }
      const text = await page.text();
      const form = formOf(text);
      if (!form) throw new Error(`${at.pathname}: status ${page.status}: ${sentence(text)}`);
      const action = new URL(form.action, at);
      if (action.origin !== new URL(this.issuer).origin) {
        // response_mode=form_post: the page posts itself to the application.
        return { url: action, method: 'POST', parameters: form.hidden };
      }
      const fields =
        form.id === 'login-form'
          ? { username: person, password }
          : { ...form.hidden, password, action: 'allow', ...choices };
      if (form.id === 'login-form' && !person) throw new Error('nobody is there to sign in');
      at = action;
      page = await this.#fetch(at, fields);
      if (page.status === 401) throw new Error('the password is wrong');
    }
    throw new Error(`the provider does not stop asking, at ${at.pathname}`);
  }

  async #fetch(url, fields) {
    const headers = { Cookie: [...this.#cookies].map((pair) => pair.join('=')).join('; ') };
    const body = fields && new URLSearchParams(Object.entries(fields).filter(([, value]) => value !== undefined));
    const response = await fetch(url, { method: body ? 'POST' : 'GET', headers, body, redirect: 'manual' });
    for (const cookie of response.headers.getSetCookie?.() ?? []) {
      const [pair] = cookie.split(';');
      const [name, ...value] = pair.split('=');
      if (/max-age=0\b/i.test(cookie)) this.#cookies.delete(name);
      else this.#cookies.set(name, value.join('='));
    }
    return response;
  }
}

// formOf returns the form of a page that goes on, with its hidden fields.
function formOf(html) {
  for (const [, attributes, content] of html.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/g)) {
    const action = attribute(attributes, 'action');
    if (action === '/language') continue;
    const hidden = {};
    for (const [, input] of content.matchAll(/<input\b([^>]*)>/g)) {
      if (attribute(input, 'type') === 'hidden') hidden[attribute(input, 'name')] = attribute(input, 'value');
    }
    return { id: attribute(attributes, 'id'), action, hidden };
  }
  return null;
}

function attribute(text, name) {
  const found = text.match(new RegExp(`(?:^|\\s)${name}="([^"]*)"`));
  return found && found[1].replaceAll('&#43;', '+').replaceAll('&#34;', '"').replaceAll('&#39;', "'").replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
}

// sentence is what a page says, for an error.
function sentence(html) {
  const main = html.replace(/^[\s\S]*<main\b/, '<main');
  return main.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ').trim().slice(0, 300);
}
