/**
 * The ceiling of logins and registrations: the hasher of auth-service and nothing else. `POST /verify` or `/hash` with
 * `{seconds}` keeps it busy for so long, with so many hashes on their way as are asked for, and answers how many it
 * did: no request, no answer and no database stands between two of them. Set by HOST, PORT, UV_THREADPOOL_SIZE,
 * ARGON2_MEMORY_KIB, ARGON2_ITERATIONS, HASHES_AT_ONCE and HASH_NICENESS.
 */
import { readdirSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { hash, verify } from '@node-rs/argon2';
import Fastify from 'fastify';

const { HOST, PORT, ARGON2_MEMORY_KIB, ARGON2_ITERATIONS, HASHES_AT_ONCE, HASH_NICENESS } = process.env;

const NICENESS_MAX = 19;
const PASSWORD = 'correct horse battery staple';
/** The library's number for Argon2id. */
const ARGON2ID = 2;
const cost = {
  algorithm: ARGON2ID,
  memoryCost: Number(ARGON2_MEMORY_KIB),
  timeCost: Number(ARGON2_ITERATIONS),
  parallelism: 1,
};

const stored = await hash(PASSWORD, cost);
const work = {
  verify: async (): Promise<void> => {
    if (!(await verify(stored, PASSWORD))) throw new Error('a right password was refused');
  },
  hash: async (): Promise<void> => {
    if (!(await hash(PASSWORD, cost)).startsWith('$argon2id$v=19$')) throw new Error('a hash of another kind');
  },
};

/** All threads: those that hash are among them since the first hash, and the others have nothing to do meanwhile. */
function lowerPriority(niceness: number): void {
  const lowered = Math.min(NICENESS_MAX, getPriority() + niceness);
  for (const thread of readdirSync('/proc/self/task')) setPriority(Number(thread), lowered);
}
if (process.platform === 'linux') lowerPriority(Number(HASH_NICENESS));

async function run(kind: keyof typeof work, seconds: number): Promise<{ count: number; seconds: number }> {
  let count = 0;
  const startedAt = performance.now();
  const deadline = startedAt + seconds * 1_000;
  const repeat = async (): Promise<void> => {
    while (performance.now() < deadline) {
      await work[kind]();
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: Number(HASHES_AT_ONCE) }, repeat));
  return { count, seconds: (performance.now() - startedAt) / 1_000 };
}

const app = Fastify();
app.post<{ Body: { seconds: number } }>('/verify', (request) => run('verify', request.body.seconds));
app.post<{ Body: { seconds: number } }>('/hash', (request) => run('hash', request.body.seconds));
app.get('/readyz', () => ({}));
process.once('SIGTERM', () => void app.close());
await app.listen({ host: HOST ?? '127.0.0.1', port: Number(PORT) });
