import { Type } from 'typebox';

export const ServiceTokenBodySchema = Type.Object(
  {
    client_id: Type.String({ format: 'uuid', examples: ['6f1d0f1e-4b8c-4a52-9a41-0b6d4f6f2c11'] }),
    client_secret: Type.String({ minLength: 1, maxLength: 128, description: 'As it was shown when it was made.' }),
  },
  {
    additionalProperties: false,
    examples: [
      {
        client_id: '6f1d0f1e-4b8c-4a52-9a41-0b6d4f6f2c11',
        client_secret: 'not a real one, only an example',
      },
    ],
  },
);

/** RFC 6749 section 4.4.3: an access token and no refresh token; a service asks again with its secret. */
export const ServiceTokenSchema = Type.Object(
  {
    access: Type.String(),
    token_type: Type.Literal('Bearer'),
    expires_in: Type.Integer({ minimum: 1, description: 'Seconds.' }),
    scope: Type.String({ description: 'Space-separated.' }),
  },
  {
    $id: 'ServiceToken',
    additionalProperties: false,
    description: 'An access token with the scopes of the service.',
    examples: [
      {
        access: 'eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiIyIn0.bm90IGEgcmVhbCBvbmU',
        token_type: 'Bearer',
        expires_in: 300,
        scope: 'notifications:all',
      },
    ],
  },
);
