/**
 * A worker without a model: speaks the worker's routes, and misbehaves as its flags say. The product's own server,
 * client and parent watch are under it, so that the pool's tests start real processes that fail in real ways.
 *
 * Flags of its own, before the worker's: --load-ms N, --fail CODE, --die-ms N (exit 7), --silent (no callback),
 * --deaf (ignores SIGTERM and the shutdown route), --hang-ms N (answers no health check from then on), --stuck AT
 * (loads AT of 32 layers and stays there), --port-taken N --first-port P (finds N ports from P on taken).
 */
import { parseArgs } from "node:util";
import { RbeeError } from "../../protocol/error.ts";
import { hiveRoutes } from "../../protocol/hive_routes.ts";
import { workerRoutes } from "../../protocol/worker_routes.ts";
import { encodeJsonEvent } from "../../protocol/sse.ts";
import type { WorkerState, WorkerStatus } from "../../protocol/worker.ts";
import { call, sleep } from "../../runtime/call.ts";
import { environment } from "../../runtime/environment.ts";
import { openLog } from "../../runtime/log.ts";
import { dieWithParent } from "../../runtime/parent.ts";
import { endpoint, serve } from "../../runtime/serve.ts";

dieWithParent();
const text = { type: "string" } as const;
const yes = { type: "boolean", default: false } as const;
const { values: flags } = parseArgs({
  options: {
    ...{ "load-ms": text, "fail": text, "die-ms": text, "silent": yes, "deaf": yes, "hang-ms": text, "stuck": text },
    ...{ "port-taken": text, "worker-id": text, "model": text, "model-ref": text, "backend": text, "device": text },
    ...{
      "port": text,
      "callback-url": text,
      "slots": text,
      "ctx": text,
      "threads": text,
      "listen": text,
      "first-port": text,
    },
  },
});
const key = environment("RBEE_WORKER_KEY") ?? "";
const log = openLog({ program: "llm-worker-rbee", level: "info", stderr: true });
const startedMs = performance.now();
const since = (ms?: string) => ms !== undefined && performance.now() - startedMs > Number(ms);

let status: WorkerStatus = {
  worker_id: flags["worker-id"]!,
  state: "loading",
  slots_total: Number(flags.slots),
  slots_available: 0,
  last_request_unix: 0,
  layers_loaded: 0,
  layers_total: 32,
};
let changed = Promise.withResolvers<void>();
function say(change: Partial<WorkerStatus>): void {
  status = { ...status, ...change };
  changed.resolve();
  changed = Promise.withResolvers();
}

if (Deno.statSync(flags.model!).size < 24) throw new Error("Cannot see the model from here");
const first = Number(flags["first-port"]);
if (Number(flags.port) < first + Number(flags["port-taken"] ?? 0)) {
  fail("PORT_TAKEN", "Cannot start: the port is taken");
}

function fail(code: string, message: string): never {
  log.error(message, { code });
  Deno.exit(1);
}

function end(): void {
  if (flags.deaf) return;
  say({ state: "draining", slots_available: 0 });
  setTimeout(() => Deno.exit(0), status.state === "busy" ? 60_000 : 30);
}

const server = serve({
  program: "llm-worker-rbee",
  auth: { token: key, openNeedsToken: true },
  log,
  hostname: "127.0.0.1",
  port: Number(flags.port),
  endpoints: [
    endpoint(workerRoutes.healthV1, async () => {
      if (since(flags["hang-ms"])) await sleep(60_000);
      return {
        status: "healthy" as const,
        version: "0",
        state: status.state,
        vram_bytes: 0,
        uptime_seconds: 0,
        model: null,
      };
    }),
    endpoint(workerRoutes.events, ({ context }) =>
      context.stream(async (out) => {
        while (true) {
          await out.write(encodeJsonEvent(status));
          await changed.promise;
        }
      })),
    endpoint(workerRoutes.shutdown, () => {
      end();
      return Response.json({ status: "shutting_down" }, { status: 202 });
    }),
    // Stands for an inference: busy for `id` milliseconds.
    endpoint(workerRoutes.cancel, async ({ params }) => {
      say({ state: "busy", slots_available: 0, last_request_unix: Date.now() / 1_000 });
      await sleep(Number(params.id));
      if (status.state === "busy" as WorkerState) say({ state: "idle", slots_available: status.slots_total });
      return {};
    }),
  ],
});
Deno.addSignalListener("SIGTERM", end);
log.info("listening", { args: Deno.args.join(" "), cwd: Deno.cwd(), folder: [...Deno.readDirSync(".")].length });

if (flags["callback-url"] && !flags.silent) {
  const base = new URL(flags["callback-url"]).origin;
  await call({ program: "rbee-hive", base, token: key }, hiveRoutes.workerReady, {
    body: {
      worker_id: flags["worker-id"]!,
      url: server.url,
      model_ref: flags["model-ref"]!,
      backend: flags.backend as "cpu",
      device: Number(flags.device),
      slots_total: Number(flags.slots),
    },
  });
}
if (flags["die-ms"]) {
  setTimeout(() => {
    log.error("a fault of its own", { error: new RbeeError("INTERNAL_ERROR", { message: "Cannot go on: boom" }) });
    Deno.exit(7);
  }, Number(flags["die-ms"]));
}
await sleep(Number(flags["load-ms"] ?? 50));
if (flags.stuck) {
  say({ layers_loaded: Number(flags.stuck) });
} else if (flags.fail) {
  say({ error: { code: flags.fail, message: "Cannot load the model: as told", details: { reason: "told" } } });
  await sleep(100);
  Deno.exit(1);
} else {
  const calibration = { threads: 3, tokens_per_second: { "3": 10 } };
  say({ state: "idle", slots_available: status.slots_total, layers_loaded: 32, ctx: 512, calibration });
}
