/** The gateway as a process of its own. AUTH_URL, NOTIFY_URL and PORT say where everything is. */
import { startGateway } from '@infrasignal/local-stack';

const { PORT, AUTH_URL, NOTIFY_URL } = process.env;
if (PORT === undefined || AUTH_URL === undefined || NOTIFY_URL === undefined) {
  throw new Error('PORT, AUTH_URL and NOTIFY_URL must be set');
}
const gateway = await startGateway({
  port: Number(PORT),
  authUrl: AUTH_URL,
  notifyUrl: NOTIFY_URL,
  onTrouble: (line) => process.stdout.write(`${line}\n`),
});
process.on('SIGTERM', () => {
  void gateway.close().then(() => process.exit(0));
});
