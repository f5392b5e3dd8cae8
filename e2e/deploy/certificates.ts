import { createTestDirectory, type TestContext } from '@infrasignal/testkit';
import { execFileSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Certificate {
  /** Paths of PEM files. */
  readonly certFile: string;
  readonly keyFile: string;
}

/** An authority of the test's own, and what it signs; made with openssl, and gone with the test. */
export class Authority {
  readonly caFile: string;
  readonly directory: string;
  readonly #keyFile: string;

  constructor(t: TestContext, name: string) {
    this.directory = createTestDirectory(t, 'infrasignal-certificates-');
    chmodSync(this.directory, 0o755); // PostgreSQL runs as another user
    this.caFile = join(this.directory, 'ca.crt');
    this.#keyFile = join(this.directory, 'ca.key');
    const subject = ['-subj', `/CN=${name}`, '-days', '1', '-keyout', this.#keyFile, '-out', this.caFile];
    openssl('req', '-x509', ...NEW_KEY, ...subject);
  }

  /** @param names as in the extension subjectAltName: `DNS:localhost,IP:127.0.0.1` */
  sign(file: string, names: string): Certificate {
    const path = (ending: string): string => join(this.directory, `${file}.${ending}`);
    openssl('req', ...NEW_KEY, '-subj', `/CN=${file}`, '-keyout', path('key'), '-out', path('csr'));
    writeFileSync(path('ext'), `subjectAltName=${names}\n`);
    const authority = ['-CA', this.caFile, '-CAkey', this.#keyFile, '-CAcreateserial'];
    openssl('x509', '-req', '-in', path('csr'), ...authority, '-days', '1', '-extfile', path('ext'), '-out', path('crt'));
    return { certFile: path('crt'), keyFile: path('key') };
  }
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: 'pipe' });
}
