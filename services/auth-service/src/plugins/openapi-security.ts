/** Who a route is open to, as its `schema.security` says it: each entry is one sufficient way (OpenAPI 3.1, 4.8.30). */
type Security = readonly Readonly<Record<string, readonly string[]>>[];

/** Everybody. */
export const publicRoute: Security = [];

/** A guarded route that changes nothing: a bearer token, or a browser's cookie. */
export const guardedRead: Security = [{ bearer: [] }, { accessCookie: [] }];

/** A guarded route that changes something: of a browser it also wants the CSRF token. */
export const guardedChange: Security = [{ bearer: [] }, { accessCookie: [], csrf: [] }];

/** A session is renewed by what the body holds, or by a browser's cookie. */
export const refreshToken: Security = [{}, { refreshCookie: [], csrf: [] }];

/** A session is ended by whatever belongs to it; without anything there is nothing to end. */
export const anyToken: Security = [{}, { bearer: [] }, { refreshCookie: [], csrf: [] }];

/** The schemes by the names used above. @param cookies names of the cookies, which differ on plain http */
export function securitySchemes(cookies: { readonly access: string; readonly refresh: string }): object {
  return {
    bearer: {
      type: 'http',
      scheme: 'bearer',
      bearerFormat: 'JWT',
      description: 'The `access` token of a login or a refresh (RFC 6750).',
    },
    accessCookie: {
      type: 'apiKey',
      in: 'cookie',
      name: cookies.access,
      description: 'Set by `?session=cookie`; for browsers.',
    },
    refreshCookie: {
      type: 'apiKey',
      in: 'cookie',
      name: cookies.refresh,
      description: 'Set by `?session=cookie`; for browsers.',
    },
    csrf: {
      type: 'apiKey',
      in: 'header',
      name: 'X-CSRF-Token',
      description:
        'The `csrf_token` that came with the cookies. Requests that are authorised by a cookie and change something ' +
        'carry it, and come from an allowed `Origin`.',
    },
  };
}
