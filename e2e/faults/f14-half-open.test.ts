// If this breaks: every train that enters a tunnel leaves connections behind, until the node has no room for anybody.
import { halfOpen } from './scenarios/f14-half-open.ts';
import { testScenario } from './test-scenario.ts';

testScenario('F14 clients that vanish are gone in time and cost nothing, and nobody else notices', halfOpen);
