// If this breaks: a power cut under the broker costs notifications of logins that were answered, or shows them twice.
import { brokerPowerCut } from './scenarios/f5-broker-power-cut.ts';
import { testScenario } from './test-scenario.ts';

testScenario('F5 power cuts of the disk of the broker, also 1 s after its first boot, lose and repeat nothing', brokerPowerCut);
