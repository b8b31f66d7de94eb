/**
 * The worker's metrics: what a generation counts while it runs and when it has ended.
 *
 * @module
 */
import type { InferenceEnd } from "../protocol/inference.ts";
import type { WorkDone } from "../protocol/worker.ts";
import { counter, gauge, histogram } from "../runtime/metrics.ts";

const firstTokenBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const betweenBuckets = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5];

/** All metrics of a worker. Times are observed in milliseconds and kept in seconds, as Prometheus wants them. */
export class Measures {
  readonly #generated = counter("rbee_worker_tokens_generated_total", "Tokens generated");
  readonly #prompt = counter("rbee_worker_prompt_tokens_total", "Tokens of prompts, those held by the slot included");
  readonly #cached = counter(
    "rbee_worker_prompt_tokens_cached_total",
    "Tokens of prompts that were not computed again",
  );
  readonly #firstToken = histogram(
    "rbee_worker_time_to_first_token_seconds",
    "From request to token",
    firstTokenBuckets,
  );
  readonly #between = histogram("rbee_worker_inter_token_seconds", "Between two tokens of one text", betweenBuckets);
  readonly #requests = counter("rbee_worker_requests_total", "Generations by how they ended", ["end"]);
  readonly #rate = gauge("rbee_worker_tokens_per_second", "Decoding speed of the last generation that ended");
  readonly #slotsBusy = gauge("rbee_worker_slots_busy", "Slots that generate now");
  readonly #slotsTotal = gauge("rbee_worker_slots_total", "Slots of this worker");
  #work: WorkDone = { tasks: 0, prefill_tokens: 0, prefill_ms: 0, decode_tokens: 0, decode_ms: 0 };

  /** What was computed so far. */
  get work(): WorkDone {
    return this.#work;
  }

  /** A generation began. */
  began(promptTokens: number): void {
    this.#prompt.inc(promptTokens);
  }

  /** The first token of a generation came. */
  firstToken(ms: number): void {
    this.#generated.inc();
    this.#firstToken.observe(ms / 1_000);
  }

  /** A further token came. */
  nextToken(ms: number): void {
    this.#generated.inc();
    this.#between.observe(ms / 1_000);
  }

  /** A generation ended with its terminal event. */
  ended(end: InferenceEnd): void {
    this.#requests.inc({ end: end.stop_reason });
    this.#cached.inc(end.prompt_tokens_cached);
    if (end.tokens_per_second > 0) this.#rate.set(end.tokens_per_second);
    const { tasks, prefill_tokens, prefill_ms, decode_tokens, decode_ms } = this.#work;
    this.#work = {
      tasks: tasks + 1,
      prefill_tokens: prefill_tokens + Math.max(0, end.prompt_tokens - end.prompt_tokens_cached),
      prefill_ms: prefill_ms + end.prefill_ms,
      decode_tokens: decode_tokens + Math.max(0, end.total_tokens - 1),
      decode_ms: decode_ms + end.decode_ms,
    };
  }

  /** A generation ended without one: the client left, or an error. */
  endedBy(how: string): void {
    this.#requests.inc({ end: how });
  }

  /** Slots changed. */
  slots(busy: number, total: number): void {
    this.#slotsBusy.set(busy);
    this.#slotsTotal.set(total);
  }
}
