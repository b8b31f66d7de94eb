/**
 * Which addresses lie inside a network: a redirect from the internet may not lead there. Pure but for `addressesOf`.
 * Source: https://www.iana.org/assignments/iana-ipv4-special-registry, …/iana-ipv6-special-registry.
 *
 * @module
 */
import { lookup } from "node:dns/promises";
import { isIP, isIPv4 } from "node:net";

/** First byte(s) of IPv4 blocks that are nobody's on the internet: address, bits of the prefix. */
const blocks4: readonly [string, number][] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["224.0.0.0", 3],
];

/** Whether an IP address is private, loopback, link-local or otherwise not of the internet. False for what is no address. */
export function isPrivateAddress(address: string): boolean {
  const bare = address.replace(/^\[|\]$/g, "").replace(/%.*$/, "");
  if (isIPv4(bare)) return isPrivate4(number4(bare));
  if (isIP(bare) !== 6) return false;
  const words = words6(bare);
  const last4 = words[6] * 65_536 + words[7];
  const isZero = (from: number, to: number) => words.slice(from, to).every((word) => word === 0);
  if (isZero(0, 5) && words[5] === 0xffff) return isPrivate4(last4); // ::ffff:10.0.0.1
  if (isZero(0, 6)) return true; // ::, ::1 and the old embedding
  if (words[0] === 0x64 && words[1] === 0xff9b && isZero(2, 6)) return isPrivate4(last4); // NAT64
  if (words[0] === 0x2002) return isPrivate4(words[1] * 65_536 + words[2]); // 6to4
  return (words[0] & 0xfe00) === 0xfc00 || (words[0] & 0xffc0) === 0xfe80 || (words[0] & 0xff00) === 0xff00;
}

function isPrivate4(address: number): boolean {
  return blocks4.some(([block, bits]) => {
    const size = 2 ** (32 - bits);
    return Math.floor(address / size) === Math.floor(number4(block) / size);
  });
}

function number4(address: string): number {
  return address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}

/** Returns the eight 16-bit words of a valid IPv6 address. */
function words6(address: string): number[] {
  const dotted = address.match(/^(.*:)(\d+\.\d+\.\d+\.\d+)$/);
  const v4 = dotted && number4(dotted[2]);
  const text = dotted && v4 !== null
    ? `${dotted[1]}${Math.floor(v4 / 65_536).toString(16)}:${(v4 % 65_536).toString(16)}`
    : address;
  const [left, right] = text.split("::");
  const parse = (part: string | undefined) => part ? part.split(":").map((word) => parseInt(word, 16)) : [];
  const [head, tail] = [parse(left), parse(right)];
  return [...head, ...Array<number>(Math.max(0, 8 - head.length - tail.length)).fill(0), ...tail];
}

/** Returns the addresses of a host's name; none when it has none that this machine can find. */
export async function addressesOf(hostname: string): Promise<string[]> {
  const bare = hostname.replace(/^\[|\]$/g, "");
  if (isIP(bare)) return [bare];
  try {
    return (await lookup(bare, { all: true })).map(({ address }) => address);
  } catch {
    return []; // where a proxy does it for us, nothing here has to know the name
  }
}
