/** What Node says of a certificate that it does not accept, with what it means for whoever set it up. */
const MEANINGS: Readonly<Record<string, string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'nobody who is trusted has signed it',
  SELF_SIGNED_CERT_IN_CHAIN: 'nobody who is trusted has signed it',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'nobody who is trusted has signed it',
  UNABLE_TO_GET_ISSUER_CERT: 'nobody who is trusted has signed it',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'nobody who is trusted has signed it',
  CERT_SIGNATURE_FAILURE: 'its signature is not that of the authority that is trusted',
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: 'it is not valid yet; or the clock of this machine is wrong',
  ERR_TLS_CERT_ALTNAME_INVALID: 'it is for another host name than the one that was asked for',
};

/**
 * Why a server's certificate was not accepted, in words; null for every other failure.
 * @param error as thrown, its causes are looked at too
 */
export function explainCertificateFailure(error: unknown): string | null {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const meaning = 'code' in cause ? MEANINGS[String(cause.code)] : undefined;
    if (meaning !== undefined) return meaning;
  }
  return null;
}
