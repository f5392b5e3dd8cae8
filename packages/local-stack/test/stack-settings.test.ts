// If this breaks, the stack does not heed the settings of its user, or hides what its parts say.
import { connect } from 'node:net';
import { test } from 'tap';
import { waitFor } from '../src/wait-for.ts';
import { startStackProcess } from './fixtures/stack-process.ts';

interface Told {
  env: Record<string, string>;
}

async function environmentOf(url: string): Promise<Record<string, string>> {
  const response = await fetch(url);
  return ((await response.json()) as Told).env;
}

test('settings of the user, logs with --verbose, last words to open sockets', async (t) => {
  const env = {
    SECRET_KEY: 'k'.repeat(40),
    DEBUG: 'false',
    ALLOWED_ORIGINS: 'https://app.example',
    HOST: '0.0.0.0',
    DATABASE_URL: 'postgres://elsewhere',
  };
  const stack = await startStackProcess(t, { env, args: ['--verbose'] });
  await stack.ready();
  const auth = await environmentOf(`${stack.url}/api/env/`);
  t.match(auth, { SECRET_KEY: env.SECRET_KEY, DEBUG: 'false', HOST: '127.0.0.1' });
  t.match(auth.DATABASE_URL, '127.0.0.1', 'the stack’s own database, whatever the shell has for other projects');
  t.equal((await environmentOf(`${stack.url}/sse/env/`)).ALLOWED_ORIGINS, 'https://app.example');
  t.match(stack.output(), 'DEBUG is off');

  for (const line of ['auth-service | listening', 'notify-service | listening', 'nats-server | ', 'postgres | ']) {
    await waitFor(() => stack.output().includes(line), { description: line });
  }

  const socket = connect(stack.port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  let text = '';
  socket.on('data', (chunk) => (text += chunk.toString()));
  socket.write('GET /ws/notifications/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  await waitFor(() => text.includes('101'), { description: 'the upgrade' });
  stack.child.kill('SIGTERM');
  await waitFor(() => text.endsWith('goodbye'), { description: 'the goodbye' });
  t.equal(await stack.ended(), 0);
});

test('help, and arguments that make no sense', async (t) => {
  const help = await startStackProcess(t, { args: ['--help'] });
  t.equal(await help.ended(), 0);
  t.match(help.output(), /--port[^]*--verbose[^]*npm run reset/);
  for (const args of [['--prot', '1'], ['--port', '65536'], ['surplus']]) {
    const wrong = await startStackProcess(t, { args });
    t.equal(await wrong.ended(), 2, args.join(' '));
    t.match(wrong.output(), /Cause: [^]*Cure: /);
  }
});
