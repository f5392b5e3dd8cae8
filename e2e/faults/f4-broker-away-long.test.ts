// If this breaks: after a long outage of the broker people are shown once more what they did just before it, or what
// they did meanwhile is never announced.
import { brokerAwayLong } from './scenarios/f4-broker-away-long.ts';
import { testScenario } from './test-scenario.ts';

testScenario('F4 a broker away for longer than its memory, its last acknowledgements lost, repeats nothing', brokerAwayLong);
