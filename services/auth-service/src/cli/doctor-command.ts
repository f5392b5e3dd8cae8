import type { BareCommand } from './command.ts';
import { checkBroker } from './doctor/check-broker.ts';
import { checkConfiguration, checkHashes, checkLimits } from './doctor/check-configuration.ts';
import { checkDatabase } from './doctor/check-database.ts';
import type { Finding } from './doctor/finding.ts';

const SIGNS = { good: 'ok ', doubtful: ' ? ', bad: ' ! ' } as const;

function toLines(findings: readonly Finding[]): string[] {
  const width = Math.max(...findings.map(({ about }) => about.length));
  const indent = ' '.repeat(SIGNS.good.length + width + 2);
  return findings.flatMap(({ about, state, text, cure }) => [
    `${SIGNS[state]} ${about.padEnd(width)} ${text}`,
    ...(cure === undefined ? [] : [`${indent}→ ${cure}`]),
  ]);
}

/** `infrasignal doctor` */
export const doctor: BareCommand = {
  name: 'doctor',
  usage: '',
  summary: 'Looks at configuration, limits, database, outbox, broker and clocks, and says what to do.',
  details: [
    'Changes nothing. Run it where, and with the environment that, an instance of auth-service runs with.',
    'Exit code 0: nothing is wrong, though something may be doubtful (?). 1: something is (!).',
  ],
  examples: ['infrasignal doctor', 'infrasignal doctor --json'],
  runBare: async ({ environment }) => {
    const { config, findings: ofConfiguration } = checkConfiguration(environment);
    const findings = [...ofConfiguration];
    if (config !== null) {
      findings.push(...checkLimits(config), ...(await checkHashes(config)));
      const [ofDatabase, ofBroker] = await Promise.all([checkDatabase(config), checkBroker(config)]);
      findings.push(...ofDatabase, ...ofBroker);
    }
    const count = (state: Finding['state']): number => findings.filter((finding) => finding.state === state).length;
    const [bad, doubtful] = [count('bad'), count('doubtful')];
    const verdict = bad === 0 && doubtful === 0 ? 'Everything is in order.' : `${bad} wrong, ${doubtful} doubtful.`;
    return { data: { findings, bad, doubtful }, lines: [...toLines(findings), verdict], isFailed: bad > 0 };
  },
};
