// Loaded into auth-service (NODE_OPTIONS): whatever the relay asks of the stream before it publishes an event that it is
// in doubt about, it is told that there is no such message.
import { createRequire } from 'node:module';

const requireHere = createRequire(import.meta.url);
const requireAsAuth = createRequire(requireHere.resolve('../../../services/auth-service/package.json'));
const { BaseApiClientImpl, JetStreamApiCodes, JetStreamApiError } = requireAsAuth('@nats-io/jetstream/internal');

const request = BaseApiClientImpl.prototype._request;
BaseApiClientImpl.prototype._request = async function (subject, ...rest) {
  if (!subject.includes('.STREAM.MSG.GET.')) return request.call(this, subject, ...rest);
  throw new JetStreamApiError({ code: 404, err_code: JetStreamApiCodes.NoMessageFound, description: 'no message found' });
};
