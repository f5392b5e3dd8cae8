// If this breaks: a full disk of the broker stops logins, or costs notifications of those that were answered meanwhile.
import { diskFull } from './scenarios/f11-disk-full.ts';
import { testScenario } from './test-scenario.ts';

testScenario('F11 a full disk under the broker harms no login, and loses and repeats nothing', diskFull);
