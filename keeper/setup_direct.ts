/**
 * What `rbee setup` says and sends for a node with transport `direct`.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { ports } from "../protocol/limits.ts";
import type { DirectNode } from "../protocol/node.ts";
import { fingerprintOf } from "../runtime/trust.ts";

/** The flags of `setup add-node` and `update-node` that are for such a node. */
export interface DirectOptions {
  /** `192.168.1.20`, `192.168.1.20:9200`, `[fd00::2]:9200`. */
  readonly address?: string;
  readonly tokenFile?: string;
  readonly caCert?: string;
  readonly plaintext?: boolean;
  readonly hivePort?: number;
}

/** Returns the fields that the flags name; `here` makes a path absolute. Throws `USAGE`. */
export function directFields(options: DirectOptions, here: (path: string) => string): {
  address?: string;
  hive_port?: number;
  token_file?: string;
  ca_cert_file?: string | null;
  plaintext?: boolean;
} {
  const at: { address?: string; hive_port?: number } = options.address === undefined
    ? {}
    : splitAddress(options.address);
  if (at.hive_port !== undefined && options.hivePort !== undefined) {
    throw new RbeeError("USAGE", {
      message: "Cannot use --hive-port: --address has a port already",
      hint: "Give the port once",
    });
  }
  return {
    ...at,
    ...(options.hivePort === undefined ? {} : { hive_port: options.hivePort }),
    ...(options.tokenFile === undefined ? {} : { token_file: here(options.tokenFile) }),
    ...(options.caCert === undefined ? {} : { ca_cert_file: here(options.caCert) }),
    ...(options.plaintext ? { plaintext: true } : {}),
  };
}

/** Returns address and port. Throws `USAGE`. */
function splitAddress(text: string): { address: string; hive_port?: number } {
  const match = text.match(/^(?:\[([0-9A-Fa-f:.]+)\]|([^:\s[\]/]+))(?::(\d{1,5}))?$/) ??
    text.match(/^([0-9A-Fa-f:.]+)$/);
  const port = match?.[3] === undefined ? undefined : Number(match[3]);
  if (match && (port === undefined || (port >= ports.min && port <= ports.max))) {
    const address = match[1] ?? match[2];
    return port === undefined ? { address } : { address, hive_port: port };
  }
  throw new RbeeError("USAGE", {
    message: "Cannot use --address: it must be a name or an address, and a port if it is not the usual one",
    hint: "Write it as --address 192.168.1.20 or --address 192.168.1.20:9200, IPv6 as --address '[fd00::2]:9200'",
  });
}

/** Returns where its hive is called: `192.168.1.20:9200`. */
export function placeOf(node: DirectNode): string {
  const host = node.address.includes(":") ? `[${node.address}]` : node.address;
  return `${host}:${node.hive_port ?? ports.hive}`;
}

/** Returns what is shown of how it is reached. */
export function directLines(node: DirectNode): string[] {
  return [
    `  Hive: ${node.plaintext ? "http" : "https"}://${placeOf(node)}, called directly`,
    `  Token: in ${node.token_file}`,
    node.ca_cert_file === null
      ? "  TLS: none (plaintext)"
      : `  Certificate: ${node.ca_cert_file}${named(node.ca_cert_file)}`,
  ];
}

/** The file lies on this machine; without it a person is told when the hive is called. */
function named(path: string): string {
  try {
    const fingerprint = fingerprintOf(Deno.readTextFileSync(path));
    return fingerprint === undefined ? "" : `\n  SHA-256: ${fingerprint}`;
  } catch {
    return "";
  }
}
