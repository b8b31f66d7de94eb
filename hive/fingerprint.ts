/**
 * `rbee-hive fingerprint`: what a person needs to register this machine's certificate elsewhere.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { loadConfig } from "../runtime/config.ts";
import { exists } from "../runtime/files.ts";
import { paths as userPaths } from "../runtime/paths.ts";
import { parseCertificate, readCertificate } from "../runtime/trust.ts";
import { writeOut } from "./output.ts";
import { certificateFile } from "./tls.ts";

/** Prints where the hive's certificate lies, and its SHA-256. Returns 0. Throws `NOT_FOUND` when there is none yet. */
export function fingerprint(options: { json: boolean }): number {
  const paths = userPaths();
  const { config } = loadConfig(paths);
  const file = certificateFile(paths, config.hive);
  if (config.hive.tls_cert === undefined && !exists(file)) {
    throw new RbeeError("NOT_FOUND", {
      message: `Cannot find the hive's certificate: there is no ${file}`,
      details: { path: file },
      hint: "It is made when the hive first listens on the network: rbee-hive daemon --listen ADDRESS",
    });
  }
  const certificate = parseCertificate(readCertificate(file, "the hive's certificate"))!;
  const facts = {
    file,
    sha256: certificate.fingerprint256,
    names: certificate.subjectAltName ?? "",
    valid_until: certificate.validTo,
  };
  writeOut(options.json ? `${JSON.stringify(facts, null, 2)}\n` : text(facts));
  return 0;
}

const text = (facts: { file: string; sha256: string; names: string; valid_until: string }) =>
  [
    `File: ${facts.file}`,
    `SHA-256: ${facts.sha256}`,
    `For: ${facts.names.replaceAll(/(IP Address|DNS):/g, "")}`,
    `Valid until: ${facts.valid_until}`,
    "",
  ].join("\n");
