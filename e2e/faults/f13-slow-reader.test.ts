// If this breaks: one phone in a tunnel, and the memory of the node that everybody is on fills with what it does not read.
import { slowReader } from './scenarios/f13-slow-reader.ts';
import { testScenario } from './test-scenario.ts';

testScenario('F13 who does not read during a burst is closed and resumes, and nobody else notices', slowReader);
