import { Type } from 'typebox';

/** JSON Web Key Set (RFC 7517) of Ed25519 public keys (RFC 8037). */
export const JwksSchema = Type.Object(
  {
    keys: Type.Array(
      Type.Object(
        {
          kty: Type.Literal('OKP'),
          crv: Type.Literal('Ed25519'),
          x: Type.String(),
          kid: Type.String(),
          alg: Type.Literal('EdDSA'),
          use: Type.Literal('sig'),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { $id: 'Jwks', additionalProperties: false },
);
