{
const en = {
lang: 'en', you: 'You', are: 'are signed in as', read: 'read only', left: '# left', soon: 'Under # min left', why: 'Reason: ',
stop: 'Stop', move: 'Move', hide: 'Hide', over: 'This session has ended', back: 'Return',
};
const de = {
lang: 'de', you: 'Sie', are: 'sind angemeldet als', read: 'nur lesen', left: 'noch #', soon: 'Noch unter # min', why: 'Grund: ',
stop: 'Beenden', move: 'Verschieben', hide: 'Ausblenden', over: 'Diese Sitzung ist beendet', back: 'Zur\xfcck',
};
const style = new CSSStyleSheet();
style.replaceSync(`
:host{all:initial; display:block; position:sticky; top:0; z-index:2147483647}
.bar,.end{color:#2e1b00; background:#ffb020; font:15px/1.5 system-ui,sans-serif; overflow-wrap:anywhere}
.bar{display:flex; flex-wrap:wrap; gap:6px; align-items:center; max-height:38vh; overflow:auto; padding:6px 12px; outline:1px solid}
.soon{background:#ff8a1f}
.text{flex:1 24em; margin:0}
.user{font-weight:bold}
a,button{padding:4px 12px; border:1px solid; border-radius:6px; color:inherit; background:none; font:inherit; text-decoration:none}
a,.stop{color:#fff; background:#2e1b00}
.said{position:absolute; clip-path:inset(50%)}
.end{padding:0 24px 24px}
::backdrop{background:#000c}
@media print {a,button{display:none}}
@media screen {
.bottom,.small{position:fixed; inset:0 0 auto}
.bottom{inset:auto 0 0}
.small{left:auto; margin:8px; padding:0; border-radius:99px; overflow:visible}
.small > :not(.hide),[hidden]{display:none}
.small .hide{border:0}
}`);
let tab = {};
try { tab = { ...JSON.parse(sessionStorage.staffBar) } } catch {}
const lead = (link, address) => {
link.href = address;
return address && /^https?:$/.test(link.protocol) || (link.href = '');
};
customElements.get('staff-bar') || customElements.define('staff-bar', class extends HTMLElement {
#ui = {};
#session;
#over;
#ticks = 0;
#clock;
constructor() {
super();
const ui = this.#ui, root = this.attachShadow({ mode: 'open' });
root.adoptedStyleSheets = [style];
const add = (to, tag, ...names) => names.map(name =>
to.append(ui[name] = Object.assign(document.createElement(tag), { className: name })));
add(root, 'section', 'bar');
add(root, 'output', 'said');
add(root, 'dialog', 'end');
add(ui.bar, 'p', 'text');
add(ui.text, 'bdi', 'you', 'user', 'what', 'time', 'why');
add(ui.bar, 'a', 'link');
add(ui.bar, 'button', 'stop', 'move', 'hide');
add(ui.end, 'h2', 'over');
add(ui.end, 'a', 'back');
ui.bar.ariaLabel = 'Impersonation notice';
ui.time.role = 'timer';
ui.stop.onclick = () => this.querySelector('button').click();
ui.move.onclick = () => this.#choose('place', ui.bar.matches('.bottom') ? 'top' : 'bottom');
ui.hide.onclick = () => this.#choose('hidden', ui.bar.matches('.small') ? null : this.#session);
ui.end.onclose = () => this.#draw();
new MutationObserver(() => this.#draw()).observe(this, { attributes: true });
}
connectedCallback() {
this.#clock = setInterval(() => this.#tick(), 1e3);
this.#tick();
}
disconnectedCallback() {
clearInterval(this.#clock);
this.#ui.end.close();
}
#choose(what, value) {
tab[what] = value;
try { sessionStorage.staffBar = JSON.stringify(tab) } catch {}
this.#draw();
}
#tick() {
this.#draw();
const session = this.#session, url = this.getAttribute('session-url');
if (url && this.#ticks++ % 30 == 0) fetch(url, { cache: 'no-store' }).then(({ status }) => {
if ([204, 401, 404].includes(status)) this.#over = session;
}, () => {});
}
#draw() {
if (!this.isConnected) return;
const ui = this.#ui, get = name => this.getAttribute(name) || '', more = text => text && ` \xb7 ${text}`;
const [user, actor, org, reason, expires] = ['user', 'actor', 'organization', 'reason', 'expires'].map(get);
const words = /^de\b/i.test(this.closest('[lang]')?.lang) ? de : en;
const left = Math.ceil((Date.parse(/T.+(Z|[+-]..:..)$/.test(expires) && expires) - Date.now()) / 1e3);
const time = left > 0 ? words.left.replace('#', `${left / 60 | 0}:${`0${left % 60}`.slice(-2)}`) : '';
const soon = left <= 60 ? 1 : left <= 300 ? 5 : '';
const small = tab.hidden == (this.#session = user + expires);
const texts = {
...words,
you: `\u26a0\ufe0e ${words.you}${actor && `, ${actor},`} ${words.are} `,
user,
what: (org && ` (${org})`) + more(get('access') == 'read_only' ? words.read : ''),
time: more(time),
why: more(reason && words.why + reason),
said: soon && words.soon.replace('#', soon),
link: words.stop,
hide: small ? `\u26a0\ufe0e ${time || user}` : words.hide,
};
for (const name in texts) if (ui[name] && ui[name].textContent != texts[name]) ui[name].textContent = texts[name];
ui.stop.hidden = !this.querySelector('button');
ui.link.hidden = !lead(ui.link, get('stop')) || !ui.stop.hidden;
lead(ui.back, get('return'));
ui.bar.lang = ui.end.lang = words.lang;
ui.end.ariaLabel = words.over;
ui.bar.className = `bar ${soon && 'soon'} ${(tab.place || get('position')) == 'bottom' && 'bottom'} ${small && 'small'}`;
const ended = left < 1 || this.#over == this.#session;
if (ended != ui.end.open) ui.end[ended ? 'showModal' : 'close']();
}
});
}
