/**
 * What is wrong when two programs cannot agree on TLS, in words. Texts of Deno 2.7.11 (rustls, hyper).
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";

const compare =
  "Compare `rbee-hive fingerprint` on that machine with `openssl x509 -noout -fingerprint -sha256 -in FILE` here; " +
  "when they differ, find out why before you copy its certificate anew";

/** Why a certificate is refused: what rustls says, and what that means. */
const refusals: readonly [RegExp, string, string?][] = [
  [/UnknownIssuer|BadSignature/, "its certificate is not the one that is trusted"],
  [
    /not valid for name|NotValidForName/i,
    "its certificate is for another name or address",
    "Use the address that its hive listens on",
  ],
  [
    /expired|not ?valid ?yet/i,
    "its certificate is not valid now",
    "Check the clocks of both machines; start its hive anew",
  ],
  [
    /CaUsedAsEndEntity/,
    "its certificate is that of an authority",
    "Give the hive a certificate of its own (no `CA:TRUE`), or leave [hive] tls_cert out",
  ],
];

/**
 * Returns `TLS_NOT_TRUSTED` when a request to `place` (`192.168.1.20:9200`) failed for TLS; undefined otherwise. Nothing
 * of the request was sent then, and it can't succeed when it is sent again.
 */
export function tlsFailure(place: string, program: string, cause: unknown): RbeeError | undefined {
  if (!(cause instanceof Error)) return undefined;
  const said = cause.message.match(/invalid peer certificate: (.*)$/s)?.[1];
  if (said !== undefined) {
    const [, why = `its certificate is refused (${said})`, hint] = refusals.find(([text]) => text.test(said)) ?? [];
    return failure(`Cannot trust ${program} at ${place}: ${why}`, place, hint ?? compare, cause);
  }
  if (/received corrupt message|InvalidContentType/.test(cause.message)) {
    const hint = "Start its hive without --plaintext, or register it with --plaintext";
    return failure(`Cannot trust ${program} at ${place}: it does not speak TLS`, place, hint, cause);
  }
  return undefined;
}

function failure(message: string, place: string, hint: string, cause: Error): RbeeError {
  return new RbeeError("TLS_NOT_TRUSTED", { message, details: { address: place }, hint, cause });
}
