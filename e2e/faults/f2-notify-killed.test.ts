// If this breaks: a crash or a deployment of notify-service costs clients notifications although they come back.
import { notifyKilled } from './scenarios/f2-notify-killed.ts';
import { testScenario } from './test-scenario.ts';

testScenario('F2 SIGKILL of notify-service at random moments loses and repeats nothing', notifyKilled);
