// If this breaks: an instance that stood still (a machine that was moved, a debugger, memory on disk) wakes up and does
// once more what another has done in its place, and people see the same login twice.
import { leaderStopped } from './scenarios/f10-leader-stopped.ts';
import { testScenario } from './test-scenario.ts';

testScenario('F10 a leader that stood still and goes on publishes nothing twice, and nothing out of order', leaderStopped);
