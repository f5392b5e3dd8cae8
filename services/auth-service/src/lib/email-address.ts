/** RFC 5321 section 4.5.3.1: 64 octets of local part, and a path of 256 with its angle brackets. */
export const EMAIL_LENGTH_MAX = 254;
const LOCAL_PART_LENGTH_MAX = 64;

const ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
const LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?';
const emailExpression = new RegExp(`^(${ATOM}(?:\\.${ATOM})*)@(${LABEL}(?:\\.${LABEL})+)$`);

/**
 * Checks an e-mail address (the dot-atom form of RFC 5322 with a fully qualified domain) and folds its domain to lower
 * case. The local part keeps its case: what it means is its mail server's business.
 * @returns null for anything else
 */
export function normaliseEmail(email: string): string | null {
  if (email.length > EMAIL_LENGTH_MAX) return null;
  const match = emailExpression.exec(email);
  const [, local, domain] = match ?? [];
  if (local === undefined || domain === undefined || local.length > LOCAL_PART_LENGTH_MAX) return null;
  return `${local}@${domain.toLowerCase()}`;
}
