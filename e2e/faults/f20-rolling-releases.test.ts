// If this breaks: every deployment that changes an event costs notifications, or closes sockets for good.
import { rollingReleases } from './scenarios/f20-rolling-releases.ts';
import { testScenario } from './test-scenario.ts';

testScenario('F20 a rolling restart to the next release and back loses and repeats nothing', rollingReleases);
