// If this breaks: a crash or a deployment of auth-service costs users notifications of what they did, or repeats them.
import { authKilled } from './scenarios/f1-auth-killed.ts';
import { testScenario } from './test-scenario.ts';

testScenario('F1 SIGKILL of auth-service at random moments loses and repeats nothing', authKilled);
