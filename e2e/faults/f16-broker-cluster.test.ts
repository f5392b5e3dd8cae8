// If this breaks: three nodes of NATS are no safer than one. With any of them gone, people hear of nothing; or of what a
// node believes that slept while the others went on.
import { brokerCluster } from './scenarios/f16-broker-cluster.ts';
import { testScenario } from './test-scenario.ts';

testScenario('F16 a node of a NATS cluster is killed or stands still: nothing lost, nothing twice', brokerCluster);
