// If this breaks: an event whose transaction took a moment longer is never told to anybody, or one forgotten transaction
// anywhere in the database keeps everybody's events from being told.
import { lateCommits } from './scenarios/f12-late-commits.ts';
import { testScenario } from './test-scenario.ts';

testScenario('F12 late commits and an idle write transaction: none is skipped, and nobody waits for another', lateCommits);
