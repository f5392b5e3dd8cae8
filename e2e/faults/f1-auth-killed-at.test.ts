// If this breaks: a crash of auth-service at the worst moment leaves a change without its event, or an event twice.
import { authKilledAt } from './scenarios/f1-auth-killed-at.ts';
import { testScenario } from './test-scenario.ts';

testScenario('F1 SIGKILL of auth-service at the worst moments loses and repeats nothing', authKilledAt);
