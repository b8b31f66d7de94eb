/**
 * The worker's endpoints.
 *
 * @module
 */
import { dialectOf } from "../protocol/dialects/rbee.ts";
import type { InferenceRequest } from "../protocol/inference.ts";
import { workerRoutes } from "../protocol/worker_routes.ts";
import { encodeJsonEvent } from "../protocol/sse.ts";
import type { StreamWriter } from "../runtime/event_stream.ts";
import { metricsResponse } from "../runtime/metrics.ts";
import { type Context, type Endpoint, endpoint } from "../runtime/serve.ts";
import { VERSION } from "../runtime/version.ts";
import { type AdmissionParts, admit } from "./admission.ts";
import { generate, writeGeneration } from "./inference.ts";
import { writeLoading } from "./loading.ts";

/** What the endpoints work on. */
export interface ServerParts extends AdmissionParts {
  readonly modelRef: string;
  /** This worker's own address, `http://127.0.0.1:8081`. */
  readonly url: () => string;
  /** Begins the end of the worker. */
  readonly shutDown: () => void;
  /** Told when a reader of the worker's events has left. */
  readonly onEventsLeft: () => void;
  readonly slowClientMs?: number;
}

/** Returns the worker's endpoints. */
export function workerEndpoints(parts: ServerParts): Endpoint[] {
  const startedMs = performance.now();
  const { lifecycle, requests, measures } = parts;
  return [
    endpoint(workerRoutes.health, () => health(parts, startedMs)),
    endpoint(workerRoutes.healthV1, () => health(parts, startedMs)),
    endpoint(workerRoutes.ready, () => ready(parts)),
    endpoint(workerRoutes.loadingProgress, ({ context }) => context.stream((out) => writeLoading(lifecycle, out))),
    endpoint(workerRoutes.inference, ({ body, context }) => infer(parts, body, context)),
    endpoint(workerRoutes.cancel, ({ params }) => {
      requests.cancel(params.id);
      return new Response(null, { status: 204 });
    }),
    endpoint(workerRoutes.events, ({ context }) => context.stream((out) => writeEvents(parts, out))),
    endpoint(workerRoutes.shutdown, () => {
      parts.shutDown();
      return Response.json({ status: "shutting_down" }, { status: 202 });
    }),
    endpoint(workerRoutes.metrics, () => {
      measures.slots(lifecycle.slotsBusy, lifecycle.slotsTotal);
      return metricsResponse();
    }),
  ];
}

async function infer(parts: ServerParts, request: InferenceRequest, context: Context) {
  const id = request.request_id ?? crypto.randomUUID();
  const admitted = admit(request, id, { ...parts, log: parts.log.with({ correlation_id: context.correlationId }) });
  if (!request.stream) {
    // the client may leave before the answer: only then does this signal abort while we still work
    const left = () => admitted.running.end("client-left");
    context.signal.addEventListener("abort", left, { once: true });
    if (context.signal.aborted) left(); // it left before we listened: that signal never fires again
    const pieces: string[] = [];
    const end = await generate(admitted, (text) => void pieces.push(text));
    return { ...end, request_id: id, text: pieces.join("") };
  }
  const dialect = dialectOf(request.dialect);
  const started = request.request_id ? undefined : dialect.started({ request_id: id, model: parts.modelRef });
  const { correlationId } = context;
  return context.stream((out) => writeGeneration(admitted, { out, dialect, correlationId, started }), {
    slowClientMs: parts.slowClientMs,
  });
}

/** Writes the worker's status at once and after each change. The calibration is said once to each reader. */
async function writeEvents(parts: ServerParts, out: StreamWriter): Promise<void> {
  const { lifecycle } = parts;
  let calibrationSaid = false;
  try {
    for await (const _change of lifecycle.watch(out.signal)) {
      const calibration = calibrationSaid ? undefined : lifecycle.facts?.calibration;
      if (calibration) calibrationSaid = true;
      const said = calibration && { threads: calibration.threads, tokens_per_second: calibration.tokensPerSecond };
      await out.write(encodeJsonEvent({ ...lifecycle.status(), calibration: said }));
    }
  } finally {
    if (out.signal.aborted) parts.onEventsLeft();
  }
}

function ready(parts: ServerParts) {
  const { state } = parts.lifecycle;
  if (state === "loading") {
    return { ready: false, state, progress_url: parts.url() + workerRoutes.loadingProgress.path };
  }
  return { ready: state === "idle" || state === "busy", state, model_loaded: parts.model() !== undefined };
}

function health(parts: ServerParts, startedMs: number) {
  const { state, facts } = parts.lifecycle;
  return {
    status: state === "unhealthy" ? "unhealthy" as const : "healthy" as const,
    version: VERSION,
    state,
    vram_bytes: facts?.memoryBytes ?? 0,
    uptime_seconds: Math.round((performance.now() - startedMs) / 1_000),
    model: facts
      ? {
        model_ref: parts.modelRef,
        variant: facts.variant,
        architecture: facts.architecture,
        quantization: facts.quantization,
        vocab_size: facts.vocabSize,
        eos_token_id: facts.eosTokenId,
        context_length: facts.contextTokensTrained,
        ctx: facts.contextTokens,
        size_bytes: facts.sizeBytes,
        layers_total: facts.layersTotal,
        threads: facts.threads,
      }
      : null,
  };
}
