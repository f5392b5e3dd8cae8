// If this breaks, a machine whose clock is set, or is wrong, logs users out, lets in those who were logged out, or stands
// still until the old time has come again.
import { wrongClocks } from './scenarios/f18-wrong-clocks.ts';
import { testScenario } from './test-scenario.ts';

testScenario('F18 a service whose clock is minutes or a day off, or is set, loses nothing and logs nobody out', wrongClocks);
