// If this breaks: a broker that stands still is taken for one that is there, and nobody hears of anything, for as long
// as it pleases; or it wakes up to messages of long ago and shows people the same login twice.
import { brokerStopped } from './scenarios/f9-broker-stopped.ts';
import { testScenario } from './test-scenario.ts';

testScenario('F9 a broker that stands still and goes on is noticed, and loses and repeats nothing', brokerStopped);
