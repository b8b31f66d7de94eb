/**
 * A certificate that a hive signs itself, for itself (RFC 5280): ECDSA on P-256, for the names and addresses under which
 * it is called.
 *
 * Not an authority's: rustls refuses one that is both authority and server. Its subject is made from the key, so a new
 * certificate with the same key passes wherever the one before it is trusted.
 *
 * @module
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { isIPv4, isIPv6 } from "node:net";
import {
  bitString,
  type Der,
  integer,
  joined,
  octetString,
  oid,
  sequence,
  setOf,
  tagged,
  time,
  utf8,
  yes,
} from "./der.ts";

const dayMs = 86_400_000;
/** Ten years: nobody renews these, and it can be revoked by forgetting it. */
const validDays = 3_650;
const serialBytes = 16;

/** What is to be certified. */
export interface CertificateWish {
  /** Names and IP addresses, each as a URL would say it, IPv6 without brackets. */
  readonly hosts: readonly string[];
  /** A private key (PEM), to be kept; absent: a new one. */
  readonly key?: string;
  readonly now: Date;
}

/** Returns a new certificate and its key, both PEM. Throws when the key is none on P-256, or a host can't be certified. */
export function makeCertificate(wish: CertificateWish): { cert: string; key: string } {
  const key = wish.key === undefined
    ? generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey
    : createPrivateKey(wish.key);
  const publicKey = new Uint8Array(createPublicKey(key).export({ type: "spki", format: "der" }));
  const algorithm = sequence(oid("1.2.840.10045.4.3.2")); // ecdsa-with-SHA256
  const name = nameOf(publicKey);
  const body = sequence(
    tagged(0xa0, integer(Uint8Array.of(2))), // X.509 version 3
    integer(joined([Uint8Array.of(1), randomBytes(serialBytes)])),
    algorithm,
    name,
    sequence(time(new Date(wish.now.getTime() - dayMs)), time(new Date(wish.now.getTime() + validDays * dayMs))),
    name,
    publicKey,
    tagged(0xa3, sequence(...extensions(wish.hosts))),
  );
  const cert = sequence(body, algorithm, bitString(sign("sha256", body, key)));
  return { cert: pem(cert), key: key.export({ type: "pkcs8", format: "pem" }).toString() };
}

function nameOf(publicKey: Uint8Array): Der {
  const id = createHash("sha256").update(publicKey).digest("hex").slice(0, 16);
  return sequence(setOf(sequence(oid("2.5.4.3"), utf8(`rbee-hive ${id}`))));
}

function extensions(hosts: readonly string[]): Der[] {
  const extension = (id: string, value: Der, ...critical: Der[]) => sequence(oid(id), ...critical, octetString(value));
  return [
    extension("2.5.29.19", sequence(), yes()), // basicConstraints: no authority
    extension("2.5.29.15", bitString(Uint8Array.of(0x80), 7), yes()), // keyUsage: digitalSignature
    extension("2.5.29.37", sequence(oid("1.3.6.1.5.5.7.3.1"))), // extKeyUsage: serverAuth
    extension("2.5.29.17", sequence(...hosts.map(alternativeName))),
  ];
}

function alternativeName(host: string): Der {
  if (isIPv4(host)) return tagged(0x87, Uint8Array.from(host.split("."), Number));
  if (isIPv6(host)) return tagged(0x87, ipv6Bytes(host));
  if (!/^[A-Za-z0-9_.-]{1,253}$/.test(host)) throw new TypeError(`Cannot certify ${host}: it is no host name`);
  return tagged(0x82, new TextEncoder().encode(host));
}

/** `fd00::2` as 16 bytes. A URL writes it in one form: no zeros in front, none of it as IPv4. */
function ipv6Bytes(address: string): Uint8Array {
  const [before, after] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::");
  const groups = (text = "") => text === "" ? [] : text.split(":").map((group) => parseInt(group, 16));
  const [head, tail] = [groups(before), groups(after)];
  const all = [...head, ...Array(8 - head.length - tail.length).fill(0), ...tail];
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

function pem(der: Der): string {
  const lines = der.toBase64().match(/.{1,64}/g) ?? [];
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
}
