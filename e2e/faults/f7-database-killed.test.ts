// If this breaks: a crash of the database, or of one of its connections, leaves accounts that nobody is told of, locks
// that nobody gives back, or a service that has to be restarted by hand.
import { databaseKilled } from './scenarios/f7-database-killed.ts';
import { testScenario } from './test-scenario.ts';

testScenario('F7 PostgreSQL restarted and its backends killed: no crash, no orphan, the pool is back', databaseKilled);
