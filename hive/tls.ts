/**
 * The certificate with which a hive and its workers listen on the network: a person's own, or one that the hive makes in
 * `$RBEE_HOME/tls/` and keeps for years.
 *
 * @module
 */
import { createPrivateKey, type X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import { call, type Peer } from "../runtime/call.ts";
import type { Config } from "../runtime/config.ts";
import { dirname } from "../runtime/path.ts";
import { isDiskFull, type Paths } from "../runtime/paths.ts";
import type { TlsFiles } from "../runtime/serve.ts";
import { clientTrusting, parseCertificate, readCertificate } from "../runtime/trust.ts";
import { makeCertificate } from "./certificate.ts";

/** What a hive speaks TLS with. */
export interface HiveTls extends TlsFiles, Disposable {
  /** The certificate's file. */
  readonly file: string;
  /** SHA-256, as `openssl x509 -fingerprint` prints it. */
  readonly fingerprint: string;
  /** Whether the file was written just now. */
  readonly isNew: boolean;
  /** Trusts this certificate: for the hive's own calls to itself and to its workers. */
  readonly client: Deno.HttpClient;
}

/** What of the configuration decides. */
export type TlsConfig = Pick<Config["hive"], "listen" | "tls_cert" | "tls_key">;

/** A certificate that ends sooner is made anew when the hive starts. */
const daysLeftMin = 90;
const dayMs = 86_400_000;

/** Returns the hive's certificate, made when it is missing. Throws `CONFIG_INVALID`, `HOME_NOT_WRITABLE`, `DISK_FULL`. */
export function hiveTls(paths: Paths, config: TlsConfig): HiveTls {
  const given = givenFiles(config);
  const found = given ?? kept(paths, config.listen);
  const files = found ?? madeAnew(paths, config.listen);
  const certificate = parseCertificate(files.cert)!;
  const client = clientTrusting(files.cert);
  return {
    ...files,
    file: certificateFile(paths, config),
    fingerprint: certificate.fingerprint256,
    isNew: found === undefined,
    client,
    [Symbol.dispose]: () => client.close(),
  };
}

/** Returns where the certificate lies that a hive with this configuration shows. */
export function certificateFile(paths: Paths, config: TlsConfig): string {
  return config.tls_cert ?? paths.tlsCert;
}

/**
 * Resolves when this hive reaches itself as its workers will. Throws `CONFIG_INVALID` when its certificate does not allow
 * that: it is for another name, or the file lacks its issuer's certificate.
 */
export async function checkOwnCertificate(hive: Peer, tls: HiveTls): Promise<void> {
  try {
    await call(hive, hiveRoutes.health, { deadlineMs: limits.queenProbeMs });
  } catch (cause) {
    if (!(cause instanceof RbeeError) || cause.code !== "TLS_NOT_TRUSTED") throw cause;
    const names = parseCertificate(tls.cert)?.subjectAltName ?? "none";
    throw new RbeeError("CONFIG_INVALID", {
      message: `Cannot use the certificate ${tls.file}: ${cause.message.replace(/^.*?: /, "")}`,
      details: { path: tls.file, names, reason: cause.cause instanceof Error ? cause.cause.message : undefined },
      hint: "Listen on a name or address that it is for, and give the whole chain in [hive] tls_cert; or leave it out",
      cause,
    });
  }
}

function givenFiles({ tls_cert, tls_key }: TlsConfig): TlsFiles | undefined {
  if (tls_cert === undefined || tls_key === undefined) return undefined;
  const cert = readCertificate(tls_cert, "[hive] tls_cert");
  const key = readIfThere(tls_key);
  if (key === undefined) throw badKey(tls_key, "it cannot be read");
  if (((Deno.statSync(tls_key).mode ?? 0) & 0o007) !== 0) throw badKey(tls_key, "everybody can read it");
  if (!belongTogether(parseCertificate(cert)!, key)) throw badKey(tls_key, `it is not the key of ${tls_cert}`);
  return { cert, key };
}

function badKey(path: string, why: string): RbeeError {
  return new RbeeError("CONFIG_INVALID", {
    message: `Cannot use [hive] tls_key: ${path}: ${why}`,
    details: { key: "hive.tls_key", path },
    hint: `Write the certificate's private key there, in PEM form, and run: chmod 600 ${path}`,
  });
}

/** Returns the files of an earlier start when they serve this address for long enough. */
function kept(paths: Paths, listen: string): TlsFiles | undefined {
  const [cert, key] = [readIfThere(paths.tlsCert), readIfThere(paths.tlsKey)];
  const certificate = cert && parseCertificate(cert);
  if (!certificate || !key || !belongTogether(certificate, key)) return undefined;
  if (Date.parse(certificate.validTo) - Date.now() < daysLeftMin * dayMs) return undefined;
  const covers = (host: string) => isIP(host) ? certificate.checkIP(host) : certificate.checkHost(host);
  return called(listen).every((host) => covers(host) !== undefined) ? { cert, key } : undefined;
}

/** The key stays when it can: then whoever trusted the certificate before trusts the new one. */
function madeAnew(paths: Paths, listen: string): TlsFiles {
  const hosts = [...new Set([...called(listen), Deno.hostname(), "localhost", "127.0.0.1", "::1"])];
  const wish = { hosts: hosts.filter((host) => isIP(host) || /^[A-Za-z0-9_.-]+$/.test(host)), now: new Date() };
  const former = readIfThere(paths.tlsKey);
  const made = former === undefined ? makeCertificate(wish) : makeWithKey(wish, former);
  try {
    const folder = dirname(paths.tlsCert);
    Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
    Deno.chmodSync(folder, 0o700);
    replace(paths.tlsKey, made.key, 0o600); // first: a certificate without its key would be taken for whole
    replace(paths.tlsCert, made.cert, 0o644);
  } catch (cause) {
    throw new RbeeError(isDiskFull(cause) ? "DISK_FULL" : "HOME_NOT_WRITABLE", {
      message: `Cannot write ${paths.tlsCert}: ${(cause as Error).message}`,
      cause,
    });
  }
  return made;
}

function makeWithKey(wish: { hosts: string[]; now: Date }, key: string): TlsFiles {
  try {
    return makeCertificate({ ...wish, key });
  } catch {
    return makeCertificate(wish); // damaged, or a key of another kind
  }
}

/** Returns the names under which others call a hive that listens on that address. */
function called(listen: string): string[] {
  if (listen !== "0.0.0.0" && listen !== "::") return [listen];
  const isOutside = (address: string) => !/^(127\.|169\.254\.|::1$|fe80:)/i.test(address);
  return Deno.networkInterfaces().map((one) => one.address).filter(isOutside);
}

function belongTogether(certificate: X509Certificate, key: string): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    return false; // no key at all
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined; // missing, or not ours: what then is done tells
  }
}

/** Writes a file whole or not at all. */
function replace(path: string, text: string, mode: number): void {
  const temporary = `${path}.${Deno.pid}.tmp`;
  Deno.writeTextFileSync(temporary, text, { mode });
  Deno.chmodSync(temporary, mode);
  Deno.renameSync(temporary, path);
}
