import { createAnnouncer } from './announcer.js';
import { login, register } from './api.js';
import { byId, make, setText } from './dom.js';
import { FeedView } from './feed-view.js';
import { Feed } from './feed.js';
import { FormView } from './form-view.js';
import { LANGUAGES, Translator, isLanguage, pickLanguage } from './i18n.js';
import { PublicFeed } from './public-feed.js';
import { RealtimeConnection } from './realtime.js';
import { Session, SignedOutError } from './session.js';
import { StatusView } from './status-view.js';
import { createStore } from './storage.js';
import { createTabs } from './tabs-view.js';
import { TraceView } from './trace-view.js';
import { Trace } from './trace.js';

/** @import { FeedEntry } from './feed.js' */
/** @import { TextKey } from './i18n.js' */
/** @import { EndReason } from './session.js' */
/** @import { ConnectionState } from './realtime.js' */

// This file wires the parts and decides which of them is shown; what each does is in its own module.

const LANGUAGE_KEY = 'infrasignal.language';
const FEED_KEY = 'infrasignal.feed';
/** The feed is written down at most this often: a burst must not be serialised once per notification. */
const SAVE_DELAY_MS = 250;
/** Relative times change by ten seconds at the finest. */
const TICK_MS = 5_000;
/** How far the pen swings for a sign of life, beside 1 for a notification. */
const HEARTBEAT_STRENGTH = 0.1;
/** The feed of a user who has seen nothing yet starts before the first notification, whose `seq` is 1. */
const BEGINNING = '0';

const settings = createStore(() => localStorage);
const tabMemory = createStore(() => sessionStorage);
const savedLanguage = settings.read(LANGUAGE_KEY);
const translator = new Translator(
  isLanguage(savedLanguage) ? savedLanguage : pickLanguage(navigator.languages),
  navigator.languages,
);

const socketBase = new URL('/ws/notifications/', location.href);
socketBase.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';

const session = new Session(tabMemory);
const connection = new RealtimeConnection(socketBase.href, (options) => session.getAccess(options));
const publicFeed = new PublicFeed(socketBase.href);
const trace = new Trace();

let feed = new Feed(0);
/** @type {EndReason | null} */
let endReason = null;
let unread = 0;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let saveTimer;

const status = new StatusView(translator, () => connection.retry());
const feedView = new FeedView(byId('feed'), translator);
const traceView = new TraceView(byId('trace', HTMLCanvasElement), trace, () => translator.locale);
const announcer = createAnnouncer(byId('announcements'));

const loginForm = new FormView(
  byId('login-form', HTMLFormElement),
  translator,
  { submit: 'login.submit', busy: 'login.busy' },
  async (values) => {
    const account = { phone_number: values['phone_number'] ?? '', password: values['password'] ?? '' };
    session.start(await login(account), account.phone_number);
    enter(null);
  },
);
const registerForm = new FormView(
  byId('register-form', HTMLFormElement),
  translator,
  { submit: 'register.submit', busy: 'register.busy' },
  async (values) => {
    const account = { phone_number: values['phone_number'] ?? '', password: values['password'] ?? '' };
    const email = values['email'] ?? '';
    session.start(await register(email === '' ? account : { ...account, email }), account.phone_number);
    enter(BEGINNING);
  },
);
const forms = [loginForm, registerForm];
const tabs = createTabs(byId('access-tabs'), (from, to) => {
  const [fromForm, toForm] = [from, to].map((tab) => (tab.id === 'tab-login' ? loginForm : registerForm));
  // Whoever chose the wrong tab first need not type the number again.
  if (toForm?.value('phone_number') === '') toForm.fill('phone_number', fromForm?.value('phone_number') ?? '');
});

/**
 * Shows the signed-in view after a sign-in, and opens the line.
 *
 * @param {string | null} cursor where a feed that is not remembered starts
 */
function enter(cursor) {
  for (const form of forms) form.reset();
  tabs.select('tab-login');
  endReason = null;
  publicFeed.stop();
  trace.clear();
  listen(cursor);
  byId('account-title').focus();
}

/** @param {string | null} cursor */
function listen(cursor) {
  const user = session.user;
  if (user === null) return;
  feed = Feed.restore(user.userId, tabMemory.read(FEED_KEY));
  feed.cursor ??= cursor;
  save();
  renderAll();
  connection.start(feed);
}

/** Shows the signed-out view, with the public feed where the server has one. */
function leave() {
  feed = new Feed(0);
  unread = 0;
  trace.clear();
  renderAll();
  publicFeed.start(feed);
}

function save() {
  clearTimeout(saveTimer);
  if (session.user !== null) tabMemory.write(FEED_KEY, feed.save());
}

/** @param {FeedEntry} entry */
function onEntry(entry) {
  const nowMs = Date.now();
  trace.mark(nowMs, entry.kind === 'gap' ? HEARTBEAT_STRENGTH : 1);
  traceView.wake();
  feedView.prepend(entry, feed.entries.length);
  renderFeedFrame();
  clearTimeout(saveTimer);
  saveTimer = setTimeout(save, SAVE_DELAY_MS);
  const title = entry.kind === 'gap' ? translator.text('gap.title') : feedView.titleOf(entry.notification);
  announcer.announce((count) => translator.plural('feed.fresh', count, { title }));
  if (document.hidden) unread += 1;
  renderTitle();
}

/** @param {ConnectionState} state */
function onState(state) {
  trace.setLive(Date.now(), state.name === 'live');
  traceView.wake();
  if (session.user === null) return;
  status.show(state);
  renderFeedFrame();
  // A refusal may mean that the session was ended elsewhere.
  if (state.name === 'refused') checkSession();
}

/** Asks for a new token; when the session has ended, the answer to that signs this page out too. */
function checkSession() {
  connection.checkSession().catch((/** @type {unknown} */ error) => {
    if (!(error instanceof SignedOutError)) console.warn('the session could not be checked', error);
  });
}

function renderAll() {
  const isSignedIn = session.user !== null;
  document.documentElement.lang = translator.language;
  document.body.dataset['view'] = isSignedIn ? 'signed-in' : 'signed-out';
  for (const element of document.querySelectorAll('[data-text]')) {
    setText(element, translator.text(/** @type {TextKey} */ (element.getAttribute('data-text'))));
  }
  for (const element of document.querySelectorAll('[data-label]')) {
    element.setAttribute('aria-label', translator.text(/** @type {TextKey} */ (element.getAttribute('data-label'))));
  }
  for (const button of byId('languages').children) {
    button.setAttribute('aria-pressed', String(button.getAttribute('lang') === translator.language));
  }
  for (const id of ['intro', 'access']) byId(id).hidden = isSignedIn;
  byId('account').hidden = !isSignedIn;
  setText(byId('account-phone'), session.user?.phoneNumber ?? '');
  setText(byId('account-user'), translator.text('account.user', { id: session.user?.userId ?? 0 }));
  byId('notice').hidden = endReason === null;
  setText(byId('notice'), endReason === null ? '' : translator.text(`notice.${endReason}`));
  const zone = new Intl.DateTimeFormat().resolvedOptions().timeZone;
  setText(byId('time-zone'), translator.text('footer.about', { zone }));
  for (const form of forms) form.render();
  status.render();
  feedView.show(feed.entries);
  renderFeedFrame();
  renderTitle();
  traceView.draw();
}

/** The list's heading, its count, and what stands there while it is empty. */
function renderFeedFrame() {
  const isSignedIn = session.user !== null;
  const isPublic = !isSignedIn && publicFeed.state === 'open';
  const isQuiet = isPublic || (isSignedIn && connection.state.name === 'live');
  const count = feed.entries.filter((entry) => entry.kind === 'notification').length;
  setText(byId('feed-title'), translator.text(isPublic ? 'feed.title.public' : 'feed.title'));
  setText(byId('feed-count'), count === 0 ? '' : translator.plural('feed.count', count));
  byId('feed-empty').hidden = feed.entries.length > 0 || !(isQuiet || !isSignedIn);
  setText(byId('feed-empty-title'), translator.text(isQuiet ? 'feed.empty.title' : 'feed.signed-out.title'));
  /** @type {TextKey} */
  const text = isPublic ? 'feed.empty.public' : isSignedIn ? 'feed.empty' : 'feed.signed-out';
  setText(byId('feed-empty-text'), translator.text(text));
}

function renderTitle() {
  const title = translator.text('page.title');
  document.title = unread === 0 ? title : translator.text('page.unread', { count: unread, title });
}

for (const [language, texts] of Object.entries(LANGUAGES)) {
  const button = make('button', {
    class: 'language',
    text: texts['language.name'],
    attributes: { type: 'button', lang: language },
  });
  button.addEventListener('click', () => {
    if (!isLanguage(language)) return;
    translator.use(language);
    settings.write(LANGUAGE_KEY, language);
    renderAll();
  });
  byId('languages').append(button);
}

byId('logout').addEventListener('click', () => session.signOut());
session.addEventListener('ended', (event) => {
  endReason = /** @type {CustomEvent<EndReason>} */ (event).detail;
  connection.stop();
  clearTimeout(saveTimer);
  // Whoever logs in again after an expired session goes on where it ended; whoever logged out wants no trace left.
  feed.forgetEntries();
  if (endReason === 'expired') tabMemory.write(FEED_KEY, feed.save());
  else tabMemory.remove(FEED_KEY);
  leave();
  byId('intro-title').focus();
});
connection.addEventListener('revoked', checkSession);
connection.addEventListener('state', (event) => onState(/** @type {CustomEvent<ConnectionState>} */ (event).detail));
publicFeed.addEventListener('state', () => {
  if (session.user !== null) return;
  trace.setLive(Date.now(), publicFeed.state === 'open');
  status.show({ name: publicFeed.state === 'open' ? 'public' : publicFeed.state === 'trying' ? 'connecting' : 'idle' });
  renderFeedFrame();
});
for (const source of [connection, publicFeed]) {
  source.addEventListener('notification', (event) => onEntry(/** @type {CustomEvent<FeedEntry>} */ (event).detail));
  source.addEventListener('gap', (event) => onEntry(/** @type {CustomEvent<FeedEntry>} */ (event).detail));
  source.addEventListener('heard', () => trace.mark(Date.now(), HEARTBEAT_STRENGTH));
}

addEventListener('online', () => connection.tryNow());
addEventListener('offline', () => connection.networkLost());
addEventListener('pagehide', () => {
  save();
  // A page that is kept for the back button must not hold a socket open that nobody reads.
  connection.stop();
  publicFeed.stop();
});
addEventListener('pageshow', (event) => {
  if (!event.persisted) return;
  if (session.user === null) leave();
  else connection.start(feed);
});
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return;
  unread = 0;
  renderTitle();
  feedView.tick(Date.now());
  connection.tryNow();
});
setInterval(() => feedView.tick(Date.now()), TICK_MS);

if (session.restore()) listen(null);
else leave();
