import { commonErrors, type TokenResponse } from '@infrasignal/shared';
import { ProblemError } from '@infrasignal/service-kit';
import type { CountryCode } from 'libphonenumber-js/max';
import type { PasswordHasher } from '../../lib/password-hasher.ts';
import { phoneNumberProblem, toE164 } from '../../lib/phone-number.ts';
import type { Database } from '../../plugins/database-plugin.ts';
import type { SessionOpener, SessionOrigin } from './session-opener.ts';
import { sessionErrors } from './sessions-errors.ts';
import { findLoginCandidate, insertLogin } from './sessions-repository.ts';
import type { LoginBody } from './sessions-schemas.ts';

export interface SessionsDependencies {
  readonly db: Database;
  readonly hasher: PasswordHasher;
  readonly sessionOpener: SessionOpener;
  readonly region: CountryCode;
  readonly announceEvent: () => void;
}

export class SessionsService {
  readonly #dependencies: SessionsDependencies;

  constructor(dependencies: SessionsDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * Checks a password and opens a session. Unknown number, wrong password, disabled account and an account without a
   * password are one answer after one verification's time, so that none can be told from another.
   * @throws ProblemError invalid_request (a number that cannot be one), invalid_credentials
   */
  async logIn(body: LoginBody, origin: SessionOrigin): Promise<TokenResponse> {
    const { db, hasher, region, sessionOpener, announceEvent } = this.#dependencies;
    const phoneNumberE164 = toE164(body.phone_number, region);
    if (phoneNumberE164 === null) {
      throw new ProblemError(commonErrors.invalid_request, { errors: [phoneNumberProblem()] });
    }
    const candidate = await findLoginCandidate(db, phoneNumberE164);
    if (candidate?.passwordHash == null) {
      await hasher.verifyNothing(body.password);
      throw new ProblemError(sessionErrors.invalid_credentials);
    }
    const isRight = await hasher.verify(candidate.passwordHash, body.password);
    if (!isRight || candidate.isDisabled) throw new ProblemError(sessionErrors.invalid_credentials);
    const session = sessionOpener.open(origin);
    if (!(await insertLogin(db, candidate, session))) throw new ProblemError(sessionErrors.invalid_credentials);
    announceEvent();
    return session.toTokens(candidate);
  }
}
