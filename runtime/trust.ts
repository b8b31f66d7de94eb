/**
 * Whom we trust behind TLS: the one certificate that we were given, and nobody else.
 *
 * @module
 */
import { X509Certificate } from "node:crypto";
import { RbeeError } from "../protocol/error.ts";
import { replaceForUs } from "./environment.ts";

/**
 * Returns a client for `Peer.client` that trusts this certificate (PEM; of a chain each of its certificates). Whoever
 * asked for it closes it. Public authorities count besides, unless `trustNoAuthority` was called.
 */
export function clientTrusting(pem: string): Deno.HttpClient {
  // Without HTTP/2 each stream has a connection of its own: one that is read slowly holds up no other.
  return Deno.createHttpClient({ caCerts: [pem], http2: false });
}

/**
 * Returns a client for a hive of this machine, or a worker of it, at `base`: it trusts the certificate in `file`, which
 * is `[hive] tls_cert` or `Paths.tlsCert`. Undefined for plain HTTP. Throws as `readCertificate` does.
 */
export function clientOfOwnHive(base: string, file: string): Deno.HttpClient | undefined {
  return base.startsWith("https:") ? clientTrusting(readCertificate(file, "the hive's certificate")) : undefined;
}

/**
 * Takes the public certificate authorities out of this process; its children have them. Must be called before the
 * first connection. Deno adds what a client is given to them and can't leave them out: any of a hundred companies
 * could then vouch for a stranger at a node's name.
 */
export function trustNoAuthority(): void {
  replaceForUs("DENO_TLS_CA_STORE", ","); // a list without a name
}

/**
 * Returns the text of a certificate's file (PEM). Throws `CONFIG_INVALID` that names the file and `what` it is for
 * (`the certificate of node 'fast'`).
 */
export function readCertificate(path: string, what: string): string {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (cause) {
    throw unusable(path, what, `cannot be read: ${(cause as Error).message}`);
  }
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text) && !text.includes("-----BEGIN CERTIFICATE-----")) {
    throw unusable(path, what, "is a private key, which must stay where it is");
  }
  if (parseCertificate(text) === undefined) throw unusable(path, what, "is no certificate in PEM form");
  return text;
}

/** Returns the first certificate of a PEM text; undefined when there is none. */
export function parseCertificate(pem: string): X509Certificate | undefined {
  try {
    return pem.includes("-----BEGIN CERTIFICATE-----") ? new X509Certificate(pem) : undefined;
  } catch {
    return undefined; // damaged: as good as none
  }
}

/** Returns the SHA-256 fingerprint of the first certificate of a PEM text, as `openssl x509 -fingerprint` prints it. */
export function fingerprintOf(pem: string): string | undefined {
  return parseCertificate(pem)?.fingerprint256;
}

function unusable(path: string, what: string, why: string): RbeeError {
  return new RbeeError("CONFIG_INVALID", {
    message: `Cannot use ${what}: ${path} ${why}`,
    details: { path },
    hint: "Copy hive.crt from that machine: `rbee-hive fingerprint` there tells where it lies",
  });
}
