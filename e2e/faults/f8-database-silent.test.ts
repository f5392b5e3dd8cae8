// If this breaks: a database that says nothing hangs every client of the service, and what they hang on to piles up until
// the service dies of it.
import { databaseSilent } from './scenarios/f8-database-silent.ts';
import { testScenario } from './test-scenario.ts';

testScenario('F8 a database that does not answer: 503 in time, no queue without an end, alive, back in seconds', databaseSilent);
