import { ConfigurationError } from '@infrasignal/service-kit';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { loadConfig, type AuthConfig } from '../../config.ts';
import { hashConcurrencyOf } from '../../features.ts';
import { createPasswordHasher } from '../../lib/password-hasher.ts';
import { describeError, Findings, type Finding } from './finding.ts';

/** What OWASP's password storage cheat sheet asks for at least, for Argon2id with two passes. */
const ARGON2_MEMORY_KIB_MIN = 19_456;

/** Sockets, requests and connections of an instance; the usual limit of a shell, 1024, ends before its own limits do. */
const FILES_MIN = 4_096;

/** So many hashes are timed; the fastest is the one that nothing disturbed. */
const HASHES_TIMED = 3;

/** @returns the configuration, null when it cannot be used */
export function checkConfiguration(
  environment: Readonly<Record<string, string | undefined>>,
): { config: AuthConfig | null; findings: readonly Finding[] } {
  const findings = new Findings('configuration');
  try {
    const config = loadConfig(environment);
    findings.good('every setting can be read');
    if (config.isDebug) {
      findings.doubtful(
        'DEBUG is on: common passwords are accepted, and cookies go over plain HTTP',
        'leave DEBUG out wherever strangers can reach the service',
      );
    }
    if (config.argon2MemoryKib < ARGON2_MEMORY_KIB_MIN) {
      findings.doubtful(
        `a password hash takes ${config.argon2MemoryKib} KiB, less than ${ARGON2_MEMORY_KIB_MIN}: cheap to guess at`,
        'leave ARGON2_MEMORY_KIB out; less is for load tests only',
      );
    }
    return { config, findings: findings.list };
  } catch (error) {
    const problems = error instanceof ConfigurationError ? error.problems : [describeError(error)];
    for (const problem of problems) findings.bad(problem, 'set it in the environment, as docs/environment.md says');
    return { config: null, findings: findings.list };
  }
}

/** The limits that the process was started with; an instance started the same way has the same. */
export function checkLimits(config: AuthConfig): readonly Finding[] {
  const findings = new Findings('limits');
  const files = readOpenFilesMax();
  if (files === null) findings.good('open files: not known on this system');
  else if (files >= FILES_MIN) findings.good(`${files} open files`);
  else findings.doubtful(`only ${files} open files`, `raise the limit to ${FILES_MIN} or more: ulimit -n, LimitNOFILE=`);
  const { wanted, possible } = hashConcurrencyOf(config);
  if (possible >= wanted) findings.good(`${wanted} hashes at once on ${availableParallelism()} cores`);
  else {
    findings.doubtful(
      `only ${possible} of ${wanted} hashes at once: the thread pool has ${config.threadPoolSize} threads`,
      'set UV_THREADPOOL_SIZE=64 in the environment that the service is started with',
    );
  }
  return findings.list;
}

function readOpenFilesMax(): number | null {
  try {
    const text = /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return text === undefined ? null : text === 'unlimited' ? Infinity : Number(text);
  } catch {
    return null; // not Linux
  }
}

/** What a login costs here, and how many a second that makes. */
export async function checkHashes(config: AuthConfig): Promise<readonly Finding[]> {
  const findings = new Findings('hashes');
  try {
    const hasher = await createPasswordHasher({
      memoryKib: config.argon2MemoryKib,
      iterations: config.argon2Iterations,
    });
    let fastestMs = Infinity;
    for (let at = 0; at < HASHES_TIMED; at += 1) {
      const startedAtMs = performance.now();
      await hasher.hash('a password that no account has');
      fastestMs = Math.min(fastestMs, performance.now() - startedAtMs);
    }
    const perSecond = Math.floor((hashConcurrencyOf(config).possible * 1_000) / fastestMs);
    findings.good(`a password hash takes ${fastestMs.toFixed(1)} ms: up to ${perSecond} logins a second`);
  } catch (error) {
    findings.bad(`a password cannot be hashed: ${describeError(error)}`, 'give the service more memory, or a hash less');
  }
  return findings.list;
}
