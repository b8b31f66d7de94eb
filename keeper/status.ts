/**
 * `rbee status`: what runs. Starts nothing.
 *
 * @module
 */
import { queenRoutes } from "../protocol/queen_routes.ts";
import type { AnswerOf } from "../protocol/routes.ts";
import { call } from "../runtime/call.ts";
import { durationText } from "./duration.ts";
import { exitCodes, type Keeper } from "./keeper.ts";
import { warnMovedAside } from "./moved_aside.ts";
import { gigabytes, hiveText, noQueen, stateText, troubleLines } from "./node_text.ts";
import { findQueen, type Queen } from "./queen_probe.ts";
import { tableLines } from "./table.ts";
import { workerLines } from "./workers.ts";

/** Carries out `rbee status`. Returns 0, also when nothing runs. */
export async function status(keeper: Keeper): Promise<number> {
  const { render } = keeper;
  const queen = await findQueen(keeper);
  if (!queen) {
    if (render.json) await render.value({ queen: null, nodes: [], workers: [] });
    else await render.line(noQueen);
    return exitCodes.success;
  }
  warnMovedAside(keeper, queen);
  const [{ nodes }, { workers }] = await Promise.all([
    call(queen.peer, queenRoutes.nodes, { signal: keeper.signal }),
    call(queen.peer, queenRoutes.listWorkers, { signal: keeper.signal }),
  ]);
  if (render.json) {
    const { url, pid, mode, version, info } = queen;
    const more = {
      attached: info?.attached,
      uptime_s: info?.uptime_s,
      commit: info?.commit,
      platform: info?.platform,
      moved_aside: queen.movedAside,
    };
    await render.value({ queen: { url, pid, mode, version, ...more }, nodes, workers });
    return exitCodes.success;
  }
  const blocks = [[queenLine(queen)], nodeLines(nodes), workers.length > 0 ? workerLines(workers) : ["No workers."]];
  await render.line(blocks.map((lines) => lines.join("\n")).join("\n\n"));
  return exitCodes.success;
}

function queenLine(queen: Queen): string {
  const { info } = queen;
  const uptime = info ? `, up for ${durationText(info.uptime_s * 1_000)}` : "";
  const mode = queen.mode === "ephemeral" ? "ends with its command" : "stays";
  return `queen-rbee ${queen.version} at ${queen.url} (pid ${queen.pid}, ${mode}${uptime})`;
}

type NodeRow = AnswerOf<typeof queenRoutes.nodes>["nodes"][number];

function nodeLines(nodes: readonly NodeRow[]): string[] {
  if (nodes.length === 0) return ["No nodes: [queen] use_local is false."];
  const rows = tableLines(
    ["NODE", "STATUS", "VERSION", "WORKERS", "MEMORY FREE", "DEVICES", "HIVE"],
    nodes.map((node) => [
      node.node_name,
      stateText(node.hive_status),
      node.hive_version ?? "-",
      String(node.workers),
      node.hive_version !== null && node.machine ? gigabytes(node.machine.memory_available_bytes) : "-",
      node.machine ? ["cpu", ...node.machine.gpus.map((gpu) => `${gpu.backend}:${gpu.index}`)].join(" ") : "-",
      hiveText(node),
    ]),
  );
  return [...rows, ...troubleLines(nodes)];
}
