/**
 * `rbee workers`: list, health, start, shutdown.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { limits } from "../protocol/limits.ts";
import { queenRoutes } from "../protocol/queen_routes.ts";
import type { AnswerOf, BodyInput } from "../protocol/routes.ts";
import { call, callStream } from "../runtime/call.ts";
import { exitCodes, type Keeper } from "./keeper.ts";
import { runningQueen } from "./queen_process.ts";
import { findQueen, withAddress } from "./queen_probe.ts";
import { silentLines } from "./node_text.ts";
import { tableLines } from "./table.ts";
import { programOf } from "./steps.ts";
import { readTask } from "./task_stream.ts";

type Worker = AnswerOf<typeof queenRoutes.listWorkers>["workers"][number];
type Wish = BodyInput<typeof queenRoutes.startWorker>;

const nobody = "No workers. `rbee infer` starts one; `rbee workers start` loads a model in advance.";

/** Returns workers as a table. */
export function workerLines(workers: readonly Worker[]): string[] {
  return tableLines(
    ["WORKER", "NODE", "STATE", "MODEL", "BACKEND", "SLOTS", "URL"],
    workers.map((w) => [
      w.worker_id,
      w.node,
      stateText(w),
      w.model_ref,
      `${w.backend}:${w.device}`,
      `${w.slots_available}/${w.slots_total} free`,
      // That of another machine is no address here.
      w.node === "local" ? w.url : `port ${w.port}`,
    ]),
  );
}

function stateText(worker: Worker): string {
  const { layers_loaded: loaded, layers_total: total } = worker;
  const isLoading = worker.state === "loading" && loaded !== undefined && total !== undefined;
  return isLoading ? `loading ${loaded}/${total}` : worker.state;
}

/** Carries out `rbee workers list`. Returns 0, also when there are none. */
export async function listWorkers(keeper: Keeper): Promise<number> {
  const { render } = keeper;
  const queen = await findQueen(keeper);
  const { workers, nodes } = queen
    ? await call(queen.peer, queenRoutes.listWorkers, { signal: keeper.signal })
    : { workers: [], nodes: [] };
  if (render.json) await render.value({ workers, nodes });
  else {
    const lines = workers.length > 0 ? workerLines(workers) : [nobody];
    await render.line([...lines, ...silentLines(nodes)].join("\n"));
  }
  return exitCodes.success;
}

/** Carries out `rbee workers health`. Returns 0 when every worker answers; 1 when not, or when the named machine does not. */
export async function workersHealth(keeper: Keeper, options: { node?: string }): Promise<number> {
  const { render } = keeper;
  keeper.aboutNode(options.node);
  const queen = await findQueen(keeper);
  const answer = queen
    ? await call(queen.peer, queenRoutes.workersHealth, { query: { node: options.node }, signal: keeper.signal })
    : { status: "ok" as const, workers: [], nodes: [] };
  if (render.json) await render.value(answer);
  else {
    const silent = silentLines(answer.nodes);
    if (answer.workers.length === 0 && (silent.length === 0 || options.node === undefined)) await render.line(nobody);
    for (const worker of answer.workers) {
      const mark = worker.failed_health_checks === 0 && worker.state !== "unhealthy" ? "✓" : "✗";
      const failed = worker.failed_health_checks > 0 ? `, ${worker.failed_health_checks} checks failed` : "";
      const ready = worker.ready ? "ready" : "not ready";
      await render.line(`${mark} ${worker.worker_id} on ${worker.node}: ${worker.state}, ${ready}${failed}`);
    }
    for (const line of silent) await render.line(line);
  }
  return answer.status === "ok" ? exitCodes.success : exitCodes.failure;
}

/** The flags of `workers start`, parsed. */
export interface StartOptions {
  readonly model: string;
  readonly node?: string;
  readonly backend?: Wish["backend"];
  readonly device?: number;
  readonly ctx?: number;
  readonly slots?: number;
  /** Seconds; 0 is for ever. */
  readonly keep?: number;
}

/** Carries out `rbee workers start`: returns 0 when the model is loaded. Needs a queen that stays. */
export async function startWorker(keeper: Keeper, options: StartOptions): Promise<number> {
  const { render } = keeper;
  keeper.aboutNode(options.node);
  const queen = await findQueen(keeper);
  if (!queen) {
    throw new RbeeError("PERSISTENT_QUEEN_NEEDED", {
      message: "Cannot start a worker: no queen is running to keep it",
    });
  }
  const cut = new AbortController();
  const { keep, ...wish } = options;
  const body = { ...only(wish), keep_s: keep } as Wish;
  const signal = AbortSignal.any([keeper.signal, cut.signal]);
  let started: Record<string, unknown> = {};
  try {
    const stream = await callStream(queen.peer, queenRoutes.startWorker, { body, signal });
    for await (const event of readTask(stream.body, { cut: (reason) => cut.abort(reason) })) {
      if (event.type === "narration") render.narration(event.narration);
      else if (event.type === "result") started = event.value;
      else if (event.type === "progress") render.progress(programOf(event.progress), event.progress);
    }
  } catch (error) {
    throw withAddress(error, queen.url);
  }
  render.finishProgress();
  if (render.json) await render.value(started);
  else {await render.line(
      `✓ ${started.worker_id ?? started.id ?? "the worker"} holds ${started.model_ref ?? options.model}`,
    );}
  return exitCodes.success;
}

/** Leaves out what commander adds besides the wish itself. */
function only(options: Omit<StartOptions, "keep">): Omit<StartOptions, "keep"> {
  const { model, node, backend, device, ctx, slots } = options;
  return { model, node, backend, device, ctx, slots };
}

/** The flags of `workers shutdown`, parsed. */
export interface ShutdownOptions {
  readonly id?: string;
  readonly word: string;
}

/** Carries out `rbee workers shutdown`. Returns 0 when the worker has the command. */
export async function shutdownWorker(keeper: Keeper, options: ShutdownOptions): Promise<number> {
  const { render } = keeper;
  const id = options.id;
  if (id === undefined) {
    throw new RbeeError("USAGE", {
      message: "Cannot tell which worker is meant: its id is missing",
      hint: `rbee workers list names them, then: rbee workers ${options.word} ID`,
    });
  }
  const queen = await runningQueen(keeper);
  try {
    const answer = await call(queen.peer, queenRoutes.shutdownWorker, {
      body: { worker_id: id },
      signal: keeper.signal,
      deadlineMs: limits.everythingGoneMs,
    });
    if (render.json) await render.value({ worker_id: id, ...answer });
    else await render.line(`✓ Shutdown command sent to ${id}: it unloads its model and exits`);
  } catch (error) {
    throw withAddress(error, queen.url);
  }
  return exitCodes.success;
}
