import { PROJECT_ROOT } from '@infrasignal/local-stack';
import { createTestDirectory, type TestContext } from '@infrasignal/testkit';
import { execFile } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { listContext } from './build-context.ts';
import { readStages, type ImageConfig, type Stage, type Step } from './dockerfile.ts';

export interface BuiltImage {
  /** Where the last stage's files are; its `/` is here. */
  readonly root: string;
  readonly base: string;
  readonly config: ImageConfig;
}

const execute = promisify(execFile);

/** Longer than a first download of everything on a slow line. */
const STEP_TIMEOUT_MS = 300_000;

/**
 * Carries out a Dockerfile without a container engine: each stage in an empty directory that stands for its `/`, with
 * exactly the commands that are in the file. What the base image brings (Node, npm) is this machine's.
 */
export async function buildImage(t: TestContext, path: string, tell: (line: string) => void): Promise<BuiltImage> {
  const stages = readStages(readFileSync(join(PROJECT_ROOT, path), 'utf8'));
  const directory = createTestDirectory(t, 'infrasignal-image-');
  // The one who runs the image is not the one who builds it.
  chmodSync(directory, 0o755);
  const roots = new Map<string, string>();
  let last: { root: string; stage: Stage } | null = null;
  for (const [at, stage] of stages.entries()) {
    const root = join(directory, String(at));
    mkdirSync(root);
    for (const step of stage.steps) {
      const startedAt = performance.now();
      if (step.kind === 'run') await run(step, root);
      else copy(step, root, step.from === null ? null : (roots.get(step.from) ?? step.from));
      const what = step.kind === 'run' ? `RUN ${step.script}` : `COPY ${step.sources.join(' ')}`;
      tell(`${Math.round(performance.now() - startedAt)} ms: ${what}`);
    }
    if (stage.name !== null) roots.set(stage.name, root);
    last = { root, stage };
  }
  if (last === null) throw new Error(`${path} has no stage`);
  return { root: last.root, base: last.stage.base, config: last.stage.config };
}

async function run(step: Step & { kind: 'run' }, root: string): Promise<void> {
  const cwd = join(root, step.workdir);
  mkdirSync(cwd, { recursive: true });
  // What npm installs globally belongs to the stage; what is in its caches already is not asked for again.
  const prefix = join(root, 'usr/local');
  const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(npm_|TAP|NODE_OPTIONS)/i.test(name)));
  const env = {
    ...own,
    ...step.env,
    CI: 'true',
    PATH: `${join(prefix, 'bin')}:${process.env.PATH ?? ''}`,
    npm_config_prefix: prefix,
    npm_config_prefer_offline: 'true',
    pnpm_config_prefer_offline: 'true',
  };
  await execute('/bin/sh', ['-c', step.script], { cwd, env, timeout: STEP_TIMEOUT_MS }).catch((error: unknown) => {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    throw new Error(`RUN ${step.script} failed:\n${stdout}\n${stderr}`, { cause: error });
  });
}

/** @param source root of the stage that is copied from; null: the build's context */
function copy(step: Step & { kind: 'copy' }, root: string, source: string | null): void {
  const target = join(root, resolve(step.workdir, step.target));
  mkdirSync(step.target.endsWith('/') ? target : dirname(target), { recursive: true });
  for (const path of step.sources) {
    if (source === null) copyFromContext(path, target);
    else if (existsSync(join(source, path))) cpSync(join(source, path), target, { recursive: true, verbatimSymlinks: true });
    else throw new Error(`COPY: there is no ${path} in the stage`);
  }
}

function copyFromContext(path: string, target: string): void {
  const wanted = path === '.' ? '' : path;
  const found = listContext(PROJECT_ROOT).filter((file) => wanted === '' || file === wanted || file.startsWith(`${wanted}/`));
  if (found.length === 0) throw new Error(`COPY: .dockerignore or the repository leaves nothing of ${path}`);
  for (const file of found) {
    const to = file === wanted ? target : join(target, file.slice(wanted === '' ? 0 : wanted.length + 1));
    if (!existsSync(join(PROJECT_ROOT, file))) continue; // removed and not yet committed
    mkdirSync(dirname(to), { recursive: true });
    cpSync(join(PROJECT_ROOT, file), to);
  }
}
