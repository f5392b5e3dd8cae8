// If this breaks: a node that dies takes with it what thousands of people were about to be told.
import { crowdedNode } from './scenarios/f15-crowded-node.ts';
import { testScenario } from './test-scenario.ts';

testScenario('F15 a node with many sockets is killed, all come back, nothing is lost and nothing repeated', crowdedNode);
