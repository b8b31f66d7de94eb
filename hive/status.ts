/**
 * `rbee-hive status`: asks the hive that runs on this machine.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import type { AnswerOf } from "../protocol/routes.ts";
import type { WorkerRecord } from "../protocol/worker.ts";
import { homeId, readToken } from "../runtime/auth.ts";
import { call, type Peer } from "../runtime/call.ts";
import { loadConfig } from "../runtime/config.ts";
import { environment } from "../runtime/environment.ts";
import { paths as userPaths } from "../runtime/paths.ts";
import { readRunning } from "../runtime/running.ts";
import { clientOfOwnHive } from "../runtime/trust.ts";
import { writeErr, writeOut } from "./output.ts";
import { certificateFile } from "./tls.ts";

/** Prints the pool and its workers. Returns the exit code: 1 when no hive runs. Throws what a running one refuses. */
export async function status(options: { json: boolean }): Promise<number> {
  const paths = userPaths();
  const { config } = loadConfig(paths);
  const poolId = Deno.hostname();
  const running = readRunning(paths.hiveFile);
  const base = running?.url ?? `http://127.0.0.1:${config.hive.port}`;
  const file = config.hive.token_file ?? paths.hiveToken;
  using client = clientOfOwnHive(base, certificateFile(paths, config.hive));
  const hive = {
    program: "rbee-hive",
    base,
    token: environment("RBEE_HIVE_TOKEN") ?? readToken(file),
    client,
    caller: "rbee-hive",
  };
  const health = await healthOf(hive);
  if (health === undefined) {
    if (options.json) writeOut(`${JSON.stringify({ pool_id: poolId, running: false })}\n`);
    else writeErr(`[rbee-hive] no hive runs on ${poolId}; start one with: rbee-hive daemon\n`);
    return 1;
  }
  const { workers } = await call(hive, hiveRoutes.listWorkers, { deadlineMs: limits.queenProbeMs, attempts: 1 });
  const facts = { url: base, version: health.version, pid: running?.pid };
  if (options.json) writeOut(`${JSON.stringify({ pool_id: poolId, running: true, ...facts, workers }, null, 2)}\n`);
  else writeOut(statusText(poolId, facts, workers));
  return 0;
}

async function healthOf(hive: Peer): Promise<AnswerOf<typeof hiveRoutes.health> | undefined> {
  try {
    // Without the token: who answers there is not known yet, and may be somebody who took the port of a dead hive.
    const health = await call({ ...hive, token: undefined }, hiveRoutes.health, {
      deadlineMs: limits.queenProbeMs,
      attempts: 1,
    });
    return hive.token !== undefined && health.home_id === homeId(hive.token) ? health : undefined;
  } catch (error) {
    if (error instanceof RbeeError) return undefined;
    throw error;
  }
}

/** Returns what `status` prints for a person. */
export function statusText(
  poolId: string,
  hive: { url: string; version: string; pid?: number },
  workers: readonly WorkerRecord[],
): string {
  const rows = workers.map((worker) =>
    [
      worker.id,
      worker.state.padEnd(9),
      worker.model_ref,
      `${worker.backend}:${worker.device}`,
      `port ${worker.port}`,
      `slots ${worker.slots_available}/${worker.slots_total}`,
      `pid ${worker.pid}`,
    ].join("  ")
  );
  return [
    `Pool ${poolId}: ${hive.url}, v${hive.version}${hive.pid === undefined ? "" : `, pid ${hive.pid}`}`,
    workers.length === 0 ? "No workers" : `${workers.length} ${workers.length === 1 ? "worker" : "workers"}:`,
    ...rows.map((row) => `  ${row}`),
    "",
  ].join("\n");
}
