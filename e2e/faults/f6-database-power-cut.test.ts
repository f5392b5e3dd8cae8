// If this breaks: a power cut under the database takes back accounts and logins that were answered, or tells of some
// that never were.
import { databasePowerCut } from './scenarios/f6-database-power-cut.ts';
import { testScenario } from './test-scenario.ts';

testScenario('F6 power cuts of the disk of PostgreSQL lose nothing that was answered and tell of nothing else', databasePowerCut);
