// If this breaks: a crash of the broker stops logins, or costs notifications, or leaves the consumers standing still.
import { brokerKilled } from './scenarios/f3-broker-killed.ts';
import { testScenario } from './test-scenario.ts';

testScenario('F3 SIGKILL of nats-server at random moments loses and repeats nothing', brokerKilled);
