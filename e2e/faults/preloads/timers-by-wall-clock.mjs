// Loaded into the services of a negative control, behind shifted-clock.mjs: what should go by a clock that never steps
// goes by the time of day.
import { performance } from 'node:perf_hooks';

const startedAt = Date.now();
performance.now = () => Date.now() - startedAt;
