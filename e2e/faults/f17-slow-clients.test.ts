// If this breaks: one machine with a script that is slow on purpose takes the service from everybody.
import { slowClients } from './scenarios/f17-slow-clients.ts';
import { testScenario } from './test-scenario.ts';

testScenario('F17 slow headers, slow bodies and slow readers harm nobody else', slowClients);
