/**
 * The hive of a node with transport `direct`, and its workers: called at the node's own address, with TLS unless the
 * registry says plaintext. Token and certificate are read when the hive is opened; neither stands in the registry.
 *
 * @module
 */
import { isIPv6 } from "node:net";
import { RbeeError, toRbeeError } from "../protocol/error.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import { limits, ports } from "../protocol/limits.ts";
import type { DirectNode, NewDirectNode } from "../protocol/node.ts";
import { homeId, readToken, workerKey } from "../runtime/auth.ts";
import { call, type Peer } from "../runtime/call.ts";
import { clientTrusting, readCertificate } from "../runtime/trust.ts";
import { VERSION } from "../runtime/version.ts";

/** The way to one such hive. Disposing it closes its connections. */
export interface DirectHive extends Disposable {
  /** `192.168.1.20:9200`, for people. */
  readonly place: string;
  readonly peer: Peer;
  /** See `homeId` of `runtime/auth.ts`: what the hive shows when the token is its own. */
  readonly homeId: string;
  /** Returns a worker of this hive as a peer. Throws `INVALID_RESPONSE` when its address has no port. */
  workerPeer(id: string, url: string): Peer;
}

/** Returns the way to a node's hive; nothing is sent. Throws `CONFIG_INVALID` for a file that can't be used. */
export function openDirectHive(row: DirectNode | NewDirectNode): DirectHive {
  const token = tokenOf(row);
  const client = row.ca_cert_file === null || row.plaintext
    ? undefined
    : clientTrusting(readCertificate(row.ca_cert_file, `the certificate of node '${row.node_name}'`));
  const port = row.hive_port ?? ports.hive;
  const at = (portThere: number) => baseOf(row, portThere);
  return {
    place: placeOf(row),
    peer: { program: "rbee-hive", base: at(port), token, client, caller: "queen-rbee" },
    homeId: homeId(token),
    workerPeer: (id, url) => ({
      program: "llm-worker-rbee",
      base: at(portIn(url, row.node_name)),
      token: workerKey(token, id),
      client,
      caller: "queen-rbee",
    }),
    [Symbol.dispose]: () => client?.close(),
  };
}

/** Returns `address:port`, as people write it. */
export function placeOf(row: Pick<DirectNode, "address" | "hive_port">): string {
  return `${isIPv6(row.address) ? `[${row.address}]` : row.address}:${row.hive_port ?? ports.hive}`;
}

/**
 * Resolves when the node's hive answers, is of this version, and takes the token. No token is sent to who does not know
 * it already. Throws `NODE_UNREACHABLE`, `TLS_NOT_TRUSTED`, `VERSION_MISMATCH`, `INVALID_API_KEY`, `INVALID_RESPONSE`
 * and what `openDirectHive` throws.
 */
export async function testDirectHive(row: DirectNode | NewDirectNode, signal: AbortSignal): Promise<void> {
  using hive = openDirectHive(row);
  const options = { signal, deadlineMs: limits.directTestMs, attempts: 1 };
  try {
    const health = await call({ ...hive.peer, token: undefined }, hiveRoutes.health, options);
    if (health.version !== VERSION) {
      throw new RbeeError("VERSION_MISMATCH", {
        message: `Cannot use the hive at ${hive.place}: it is v${health.version}, rbee-keeper is v${VERSION}`,
        details: { "rbee-keeper": VERSION, "rbee-hive": health.version, node: row.node_name, address: hive.place },
      });
    }
    if (health.home_id !== hive.homeId) throw new RbeeError("INVALID_API_KEY");
    await call(hive.peer, hiveRoutes.listWorkers, options);
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    throw inWords(toRbeeError(thrown), row, hive.place);
  }
}

/** Returns the error as a person who registers a node can use it. */
function inWords(error: RbeeError, row: DirectNode | NewDirectNode, place: string): RbeeError {
  const details = { ...error.details, node: row.node_name, host: row.address, address: place };
  if (error.code === "CONNECTION_TIMEOUT" || error.code === "CONNECTION_LOST") {
    return new RbeeError("NODE_UNREACHABLE", {
      message: `Cannot reach node '${row.node_name}': no hive answers at ${place}${
        row.plaintext ? " without TLS" : ""
      }`,
      details,
      hint: row.plaintext
        ? "Start it there: rbee-hive daemon --listen ADDRESS --plaintext; one that speaks TLS needs --ca-cert here"
        : "Start it there: rbee-hive daemon --listen ADDRESS; or look for a firewall between you",
      cause: error,
    });
  }
  if (error.code === "INVALID_API_KEY" || error.code === "MISSING_API_KEY") {
    return new RbeeError("INVALID_API_KEY", {
      message: `Cannot use the hive at ${place}: the key is invalid or missing`,
      details,
      hint:
        `Put that hive's token into ${row.token_file}: its RBEE_HIVE_TOKEN, or [hive] token_file in its config.toml`,
      cause: error,
    });
  }
  return error;
}

function tokenOf(row: DirectNode | NewDirectNode): string {
  const token = readToken(row.token_file);
  if (token !== undefined) return token;
  throw new RbeeError("CONFIG_INVALID", {
    message:
      `Cannot use the token of node '${row.node_name}': ${row.token_file} is missing, empty or readable by others`,
    details: { path: row.token_file },
    hint: `Write the token of that machine's hive to it and run: chmod 600 ${row.token_file}`,
  });
}

function baseOf(row: DirectNode | NewDirectNode, port: number): string {
  return `${row.plaintext ? "http" : "https"}://${placeOf({ address: row.address, hive_port: port })}`;
}

/** The host in a worker's address is how its hive calls it there; the port is the same from everywhere. */
function portIn(url: string, node: string): number {
  const port = URL.canParse(url) ? Number(new URL(url).port) : 0;
  if (port > 0) return port;
  throw new RbeeError("INVALID_RESPONSE", {
    message: `Cannot use a worker of node '${node}': its address has no port`,
  });
}
