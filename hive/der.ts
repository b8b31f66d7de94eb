/**
 * DER, the binary form of certificates: as much of ITU-T X.690 as writing one needs.
 *
 * @module
 */
import type { Buffer } from "node:buffer";

/** Encoded bytes. */
export type Der = Uint8Array<ArrayBuffer>;

/** Returns several pieces as one. */
export function joined(pieces: readonly (Uint8Array | Buffer)[]): Der {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** Returns a value with its tag and its length before it. */
export function tagged(tag: number, ...content: readonly (Uint8Array | Buffer)[]): Der {
  const body = joined(content);
  const { length } = body;
  if (length < 0x80) return joined([Uint8Array.of(tag, length), body]);
  const digits: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest % 256);
  return joined([Uint8Array.of(tag, 0x80 | digits.length, ...digits), body]);
}

/** Returns a SEQUENCE. */
export const sequence = (...content: readonly (Uint8Array | Buffer)[]): Der => tagged(0x30, ...content);

/** Returns a SET of one. */
export const setOf = (member: Der): Der => tagged(0x31, member);

/** Returns an INTEGER from the bytes of a positive number, the highest first. */
export function integer(bytes: Uint8Array): Der {
  let from = 0;
  while (from < bytes.length - 1 && bytes[from] === 0) from++;
  const digits = bytes.subarray(from);
  return digits[0] >= 0x80 ? tagged(0x02, Uint8Array.of(0), digits) : tagged(0x02, digits);
}

/** Returns a BIT STRING; `unused` is how many of its last bits do not count. */
export const bitString = (bytes: Uint8Array | Buffer, unused = 0): Der => tagged(0x03, Uint8Array.of(unused), bytes);

/** Returns an OCTET STRING. */
export const octetString = (bytes: Uint8Array): Der => tagged(0x04, bytes);

/** Returns a UTF8String. */
export const utf8 = (text: string): Der => tagged(0x0c, new TextEncoder().encode(text));

/** Returns BOOLEAN true. */
export const yes = (): Der => tagged(0x01, Uint8Array.of(0xff));

/** Returns an OBJECT IDENTIFIER from its usual form, `2.5.29.17`. */
export function oid(dotted: string): Der {
  const [first, second, ...rest] = dotted.split(".").map(Number);
  return tagged(0x06, Uint8Array.from([first * 40 + second, ...rest].flatMap(base128)));
}

/** Seven bits a byte, the highest first; all but the last have the top bit. */
function base128(value: number): number[] {
  const digits = [value % 128];
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) digits.unshift(0x80 | rest % 128);
  return digits;
}

/** Returns a time in whole seconds: UTCTime to the end of 2049, GeneralizedTime after that, as RFC 5280 wants it. */
export function time(at: Date): Der {
  const digits = at.toISOString().replace(/\.\d+Z$/, "Z").replace(/[-:T]/g, "");
  const text = new TextEncoder();
  return at.getUTCFullYear() < 2050 ? tagged(0x17, text.encode(digits.slice(2))) : tagged(0x18, text.encode(digits));
}
