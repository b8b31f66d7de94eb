/**
 * What a queen asks a hive before it is hers: who it is, and its lease.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import { limits } from "../protocol/limits.ts";
import { homeId } from "../runtime/auth.ts";
import { call, type Peer } from "../runtime/call.ts";
import { VERSION } from "../runtime/version.ts";

/** Names a queen to hives. `id` stays the same in one RBEE_HOME: her successor there takes her hives over. */
export interface LeaseHolder {
  readonly id: string;
  readonly hostname: string;
}

/** Returns the version of the hive there whose token is the peer's; undefined when somebody else answers. Throws what `call` throws. */
export async function hiveVersion(peer: Peer, deadlineMs: number = limits.queenProbeMs): Promise<string | undefined> {
  // Without the token: whoever answers there has not yet shown what it is.
  const stranger = { ...peer, token: undefined };
  const health = await call(stranger, hiveRoutes.health, { deadlineMs, attempts: 1 });
  // Of another RBEE_HOME, or none at all: it must not be sent our token.
  return health.home_id === homeId(peer.token ?? "") ? health.version : undefined;
}

/** Takes or renews the lease. Returns whether the hive ends with its queen. Throws `HIVE_LEASED`, and what `call` throws. */
export async function renewLease(peer: Peer, holder: LeaseHolder): Promise<{ leased: boolean }> {
  const body = { queen_id: holder.id, host: holder.hostname, version: VERSION };
  return await call(peer, hiveRoutes.lease, { body, deadlineMs: limits.leaseRenewMs, attempts: 1 });
}

/** A hive of another machine. */
export interface RemoteOwner {
  readonly node: string;
  /** Whether it ran before we came: then it has to be ended, too, before another one can be started. */
  readonly wasRunning: boolean;
}

/** Returns the error for a hive of another version. `where` names it; `remote` is given when it is another machine's. */
export function versionMismatch(version: string, where: string, remote?: RemoteOwner): RbeeError {
  const ours = remote === undefined ? "queen-rbee" : "rbee-keeper";
  const more = remote && { node: remote.node, ...(remote.wasRunning ? { hive: "running" } : {}) };
  return new RbeeError("VERSION_MISMATCH", {
    message: `Cannot use the hive ${where}: it is v${version}, ${ours} is v${VERSION}`,
    details: { [ours]: VERSION, "rbee-hive": version, ...more },
    hint: remote && `Bring it to v${VERSION}: rbee setup install --node ${remote.node}`,
  });
}
