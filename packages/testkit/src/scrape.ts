/** What `/metrics` answered. */
export interface Scrape {
  /** The names of the metrics, as their `# TYPE` lines have them, sorted. */
  readonly names: readonly string[];
  /** The names of the samples: a histogram has three. */
  readonly sampleNames: ReadonlySet<string>;
  /** The sum of the samples of that name that have these labels; 0 when there are none. */
  sum(sampleName: string, labels?: Readonly<Record<string, string>>): number;
}

const SAMPLE_EXPRESSION = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL_EXPRESSION = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

/** Reads Prometheus' text format, as far as our services write it. */
export function parseScrape(text: string): Scrape {
  const names: string[] = [];
  const samples: { name: string; labels: Map<string, string>; value: number }[] = [];
  for (const line of text.split('\n')) {
    const [, declared] = /^# TYPE (\S+)/.exec(line) ?? [];
    if (declared !== undefined) names.push(declared);
    const [, name, labelText = '', value] = line.startsWith('#') ? [] : (SAMPLE_EXPRESSION.exec(line) ?? []);
    if (name === undefined) continue;
    const labels = new Map([...labelText.matchAll(LABEL_EXPRESSION)].map(([, label = '', text = '']) => [label, text]));
    samples.push({ name, labels, value: Number(value) });
  }
  return {
    names: names.sort(),
    sampleNames: new Set(samples.map(({ name }) => name)),
    sum: (sampleName, wanted = {}) =>
      samples
        .filter(({ name }) => name === sampleName)
        .filter(({ labels }) => Object.entries(wanted).every(([label, text]) => labels.get(label) === text))
        .reduce((sum, { value }) => sum + value, 0),
  };
}

/** Scrapes an instance. @param url of the service, without a path */
export async function scrape(url: string): Promise<Scrape> {
  const response = await fetch(`${url}/metrics`);
  if (response.status !== 200) throw new Error(`/metrics answered ${response.status}`);
  return parseScrape(await response.text());
}
