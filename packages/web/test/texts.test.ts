// If this breaks, a reader of one language meets an empty label or the wrong language in the middle of the page, or
// an error of the API is shown as "something unexpected" although its cause is known.
import { readFile, readdir } from 'node:fs/promises';
import { commonErrors, eventDefinitions, fieldErrors } from '@infrasignal/shared';
import t from 'tap';
import { LANGUAGES, Translator, fillIn, pickLanguage, pickLocale } from '../public/i18n.js';

const publicFolder = new URL('../public/', import.meta.url);
const placeholders = (text: string): string[] => [...text.matchAll(/\{\w+\}/g)].map(([name]) => name).sort();

t.test('every language has the same keys, in the same order, none of them empty', async (t) => {
  const keys = Object.keys(LANGUAGES.en);
  for (const [language, texts] of Object.entries(LANGUAGES)) {
    t.same(Object.keys(texts), keys, language);
    for (const [key, text] of Object.entries(texts)) t.not(text.trim(), '', `${language} ${key}`);
  }
});

t.test('every language fills in the same values', async (t) => {
  for (const [key, text] of Object.entries(LANGUAGES.en)) {
    const french = LANGUAGES.fr[key as keyof typeof LANGUAGES.en];
    t.same(placeholders(french), placeholders(text), key);
  }
});

t.test('no invisible character and no straight French apostrophe slipped in', async (t) => {
  for (const language of Object.keys(LANGUAGES)) {
    const source = await readFile(new URL(`texts/${language}.js`, publicFolder), 'utf8');
    t.notMatch(source, /[\u00a0\u202f\u200b]/u, `${language}: written as an escape`);
  }
  for (const [key, text] of Object.entries(LANGUAGES.fr)) {
    t.notMatch(text, /'/, key);
    t.notMatch(text, / [:;!?»]|« /, `${key}: a no-break space before high punctuation`);
  }
});

t.test('every text that the markup asks for exists, and the markup holds none itself', async (t) => {
  const html = await readFile(new URL('index.html', publicFolder), 'utf8');
  const asked = [...html.matchAll(/data-(?:text|label)="([^"]+)"/g)].map(([, key]) => key ?? '');
  t.ok(asked.length > 10);
  for (const key of asked) t.ok(Object.hasOwn(LANGUAGES.en, key), key);
  const body = html.slice(html.indexOf('<body')).replace(/<noscript>[\s\S]*<\/noscript>|<!--[\s\S]*?-->/g, '');
  t.equal(body.replace(/<[^>]*>/g, '').replace(/\s+/g, ''), 'infraSignal', 'only the name');
});

t.test('every text that a module asks for by name exists', async (t) => {
  const names = (await readdir(publicFolder)).filter((name) => name.endsWith('.js'));
  const sources = await Promise.all(names.map((name) => readFile(new URL(name, publicFolder), 'utf8')));
  const asked = sources.flatMap((source) => [...source.matchAll(/\.text\(\s*'([^']+)'/g)].map(([, key]) => key ?? ''));
  t.ok(asked.length > 10);
  for (const key of asked) t.ok(Object.hasOwn(LANGUAGES.en, key), key);
  const counted = sources.flatMap((source) => [...source.matchAll(/\.plural\('([^']+)'/g)].map(([, key]) => key ?? ''));
  t.ok(counted.length > 3);
  for (const key of counted) {
    for (const form of ['one', 'other']) t.ok(Object.hasOwn(LANGUAGES.en, `${key}.${form}`), `${key}.${form}`);
  }
});

t.test('every error code that any service answers with has a text', async (t) => {
  const codes = [...Object.keys(commonErrors), ...Object.keys(fieldErrors)];
  t.ok(codes.length > 10);
  for (const code of codes) t.ok(Object.hasOwn(LANGUAGES.en, `error.${code}`), code);
});

t.test('every event that a user can be told of has a name', async (t) => {
  for (const { type } of eventDefinitions) t.ok(Object.hasOwn(LANGUAGES.en, `notification.${type}`), type);
});

t.test('the first language that the page speaks is chosen, else English', async (t) => {
  t.equal(pickLanguage(['fr-CA', 'en']), 'fr');
  t.equal(pickLanguage(['de', 'pt-BR', 'FR']), 'fr');
  t.equal(pickLanguage(['de-CH', 'en-GB', 'fr']), 'en');
  t.equal(pickLanguage(['de']), 'en');
  t.equal(pickLanguage([]), 'en');
  t.equal(pickLanguage(['', 'constructor']), 'en');
});

t.test('dates follow the reader\'s own variety of the language', async (t) => {
  t.equal(pickLocale('en', ['fr-FR', 'en-GB', 'en']), 'en-GB');
  t.equal(pickLocale('fr', ['en-GB']), 'fr');
});

t.test('counts follow the rule of the language: zero is singular in French', async (t) => {
  const english = new Translator('en', ['en']);
  const french = new Translator('fr', ['fr-FR']);
  t.equal(english.plural('feed.count', 0), '0 notifications');
  t.equal(english.plural('feed.count', 1), '1 notification');
  t.equal(french.plural('feed.count', 0), '0 notification');
  t.equal(french.plural('feed.count', 2), '2 notifications');
});

t.test('values are filled in as they are, also when they look like a pattern', async (t) => {
  t.equal(fillIn('{title}: {count}', { title: '{count} $& <b>', count: 3 }), '{count} $& <b>: 3');
  t.equal(fillIn('{unknown} {toString}', {}), '{unknown} {toString}');
});
