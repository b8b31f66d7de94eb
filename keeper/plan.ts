/**
 * `rbee plan`: what would become of a task on each machine, and why, in numbers. Starts no worker and fetches nothing.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { isErrorCode } from "../protocol/error_codes.ts";
import { limits } from "../protocol/limits.ts";
import { localNodeName } from "../protocol/node.ts";
import type { Plan, PlanRow } from "../protocol/plan.ts";
import { queenRoutes } from "../protocol/queen_routes.ts";
import type { BodyInput } from "../protocol/routes.ts";
import { call } from "../runtime/call.ts";
import { exitCodes, type Keeper } from "./keeper.ts";
import { withQueen } from "./queen_process.ts";
import { tableLines } from "./table.ts";

/** The flags of `plan`, parsed. */
export type PlanOptions = BodyInput<typeof queenRoutes.plan>;

/** Carries out `rbee plan`. Returns 0 when something would work, 1 with the refusal otherwise. */
export async function plan(keeper: Keeper, options: PlanOptions): Promise<number> {
  const { render } = keeper;
  keeper.aboutNode(options.node);
  const { model, node, backend, device, ctx, slots } = options;
  const found = await withQueen(keeper, ({ queen }) =>
    call(queen.peer, queenRoutes.plan, {
      body: { model, node, backend, device, ctx, slots },
      signal: keeper.signal,
      deadlineMs: limits.planHivesMs + limits.modelLookUpMs + limits.callTimeoutMs,
      attempts: 1,
    }), { idle: node !== undefined && node !== localNodeName });
  if (render.json) {
    await render.value(found);
    return found.chosen === null ? exitCodes.failure : exitCodes.success;
  }
  await render.line(planLines(found).join("\n"));
  if (found.chosen === null) throw refusalOf(found);
  return exitCodes.success;
}

/** Returns a plan as a person reads it: the model, a table, and why. */
export function planLines(found: Plan): string[] {
  const { model, rows, chosen } = found;
  const about = model
    ? [`${model.ref}: ${mbOf(model.size_bytes)} MB${model.quantization ? `, ${model.quantization}` : ""}`, ""]
    : [];
  const table = tableLines(
    ["NODE", "WOULD", "ON", "NEEDS", "FREE", "DOWNLOAD", "TOKENS/S", "FIRST TOKEN"],
    rows.map((row) => [
      row.node + (row.node === chosen ? " *" : ""),
      row.would,
      deviceText(row),
      mbText(row.required_mb),
      mbText(row.available_mb),
      row.download_bytes ? `${mbOf(row.download_bytes)} MB` : row.model_on_disk ? "on disk" : "-",
      row.decode_tokens_per_second === null ? "-" : String(Math.round(row.decode_tokens_per_second)),
      row.expected_first_token_s === null ? "-" : `${row.expected_first_token_s.toFixed(1)} s`,
    ]),
  );
  return [...about, ...table, "", ...rows.map(whyLine)];
}

function deviceText({ backend, device, gpu_layers, layers }: PlanRow): string {
  if (backend === null) return "-";
  const isPart = gpu_layers !== null && layers !== null && gpu_layers < layers;
  return `${backend}:${device ?? 0}${isPart ? ` (${gpu_layers} of ${layers} layers)` : ""}`;
}

const mbOf = (bytes: number) => Math.ceil(bytes / 1024 / 1024);
const mbText = (mb: number | null) => mb === null ? "-" : `${mb} MB`;

function whyLine({ node, would, reasons, code }: PlanRow): string {
  const mark = would === "refuse" ? "✗" : would === "wait" ? "○" : "✓";
  return `${mark} ${node}: ${reasons.join("; ")}${code === null ? "" : ` (${code})`}`;
}

/** The refusal that a task would end with. */
function refusalOf({ rows, model_error }: Plan): RbeeError {
  if (model_error) {
    const { code, message, hint, details } = model_error;
    return new RbeeError(isErrorCode(code) ? code : "INTERNAL_ERROR", { message, hint, details });
  }
  const [row] = rows;
  const details = row.required_mb === null ? {} : { required: row.required_mb, available: row.available_mb };
  if (rows.length === 1 && row.code !== null && isErrorCode(row.code)) {
    return new RbeeError(row.code, { message: `Cannot use ${row.node}: ${row.reasons[0]}`, details });
  }
  return new RbeeError("NO_NODE", {
    details: { nodes: rows.map(({ node, code, reasons }) => ({ node, code, reason: reasons[0] })) },
  });
}
