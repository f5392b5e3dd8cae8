import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { forgetPath, guardPath } from '@infrasignal/local-stack';
import type { TestContext } from './test-context.ts';

/** A new empty directory that is removed at the end of the test, also when the test process is killed. */
export function createTestDirectory(t: TestContext, prefix = 'infrasignal-test-'): string {
  const path = mkdtempSync(join(tmpdir(), prefix));
  guardPath(path);
  t.teardown(() => {
    rmSync(path, { recursive: true, force: true });
    forgetPath(path);
  });
  return path;
}
