// If this breaks, a network that is merely slow or loses packets between two parts costs users their events, or keeps
// their requests waiting for ever.
import { badNetwork } from './scenarios/f19-bad-network.ts';
import { testScenario } from './test-scenario.ts';

testScenario('F19 a slow, lossy and silent network between the parts loses nothing, and nobody waits for ever', badNetwork);
