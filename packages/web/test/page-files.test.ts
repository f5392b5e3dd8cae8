// If this breaks, the page needs a weaker security policy than it has and shows nothing, or loads in slow waves.
import { readFile, readdir } from 'node:fs/promises';
import t from 'tap';

const publicFolder = new URL('../public/', import.meta.url);
const read = (path: string): Promise<string> => readFile(new URL(path, publicFolder), 'utf8');

async function modules(): Promise<string[]> {
  const names = await readdir(publicFolder, { recursive: true });
  return names.filter((name) => name.endsWith('.js')).sort();
}

t.test('every module but the first is preloaded, and nothing else', async (t) => {
  const html = await read('index.html');
  const preloaded = [...html.matchAll(/rel="modulepreload" href="([^"]+)"/g)].map(([, path]) => path).sort();
  t.same(preloaded, (await modules()).filter((path) => path !== 'app.js'));
});

t.test('the markup has no script, style or handler of its own', async (t) => {
  const html = await read('index.html');
  t.notMatch(html, /<style|<script(?![^>]* src=)|\sstyle=|\son\w+=|javascript:/i);
});

t.test('nothing is fetched from elsewhere', async (t) => {
  for (const path of ['index.html', 'style.css', 'logo.svg', ...(await modules())]) {
    const source = (await read(path)).replaceAll('http://www.w3.org/2000/svg', '');
    t.notMatch(source, /https?:\/\/|url\(|@import url/, path);
  }
});

t.test('no module builds markup out of texts or code out of strings', async (t) => {
  for (const path of await modules()) {
    t.notMatch(await read(path), /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function/, path);
  }
});

t.test('every id that the markup refers to exists, once', async (t) => {
  const html = await read('index.html');
  const ids = [...html.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id);
  t.equal(new Set(ids).size, ids.length);
  for (const [, names] of html.matchAll(/\s(?:for|aria-controls|aria-labelledby|aria-describedby)="([^"]+)"/g)) {
    for (const id of (names ?? '').split(' ')) t.ok(ids.includes(id), id);
  }
});
