/**
 * `rbee infer`: one task from the prompt to the last token.
 *
 * @module
 */
import { RbeeError, toRbeeError } from "../protocol/error.ts";
import type { InferenceEnd } from "../protocol/inference.ts";
import { limits } from "../protocol/limits.ts";
import { localNodeName } from "../protocol/node.ts";
import { queenRoutes } from "../protocol/queen_routes.ts";
import type { BodyInput } from "../protocol/routes.ts";
import { call, callStream } from "../runtime/call.ts";
import type { Config } from "../runtime/config.ts";
import { exitCodes, type Keeper } from "./keeper.ts";
import { withPartial } from "./partial.ts";
import { readPrompt, standardInput } from "./prompt.ts";
import { type QueenSession, RetryElsewhere, withQueen } from "./queen_process.ts";
import { OutputClosed } from "./render.ts";
import { programOf } from "./steps.ts";
import { readTask, type TaskEvent } from "./task_stream.ts";

/** The flags of `infer`, parsed. */
export interface InferOptions {
  readonly words: readonly string[];
  readonly prompt?: string;
  readonly system?: string;
  readonly raw?: boolean;
  readonly model?: string;
  readonly node?: string;
  readonly backend?: Task["backend"];
  readonly device?: number;
  readonly ctx?: number;
  readonly slots?: number;
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly minP?: number;
  readonly seed?: number;
  readonly repetitionPenalty?: number;
  readonly stop?: readonly string[];
  readonly ignoreEos?: boolean;
  /** Seconds. */
  readonly timeout?: number;
  /** Seconds. */
  readonly wait?: number;
  /** False with --no-stream. */
  readonly stream?: boolean;
  readonly stats?: boolean;
  readonly explain?: boolean;
}

type Task = BodyInput<typeof queenRoutes.submitTask>;

/** Carries out `rbee infer`. Returns 0, or 130 when it was canceled; throws what went wrong. */
export async function infer(keeper: Keeper, options: InferOptions): Promise<number> {
  keeper.aboutNode(options.node);
  const { config } = await keeper.config();
  const prompt = await readPrompt(options, standardInput(), {
    signal: keeper.signal,
    onWaiting: () =>
      keeper.render.note("rbee-keeper", "⌨️ Reading the prompt from standard input, to its end (Ctrl+D)"),
  });
  const task = taskOf(prompt, options, config);
  // Whoever names another machine has no use for a hive on this one.
  return await withQueen(keeper, async (session) => {
    const answer = new Answer(keeper, task, options);
    return await answer.run(session);
  }, { idle: options.node !== undefined && options.node !== localNodeName });
}

/** Returns the body for the queen. What no flag and no configuration says is left to her. */
export function taskOf(prompt: string, options: InferOptions, config: Config): Task {
  if (options.raw && options.system !== undefined) {
    throw new RbeeError("USAGE", {
      message: "Cannot use --system with --raw: a raw prompt has no chat template",
      hint: "Put both into the prompt, or leave --raw out",
    });
  }
  const said = options.system === undefined ? { prompt } : {
    messages: [{ role: "system" as const, content: options.system }, { role: "user" as const, content: prompt }],
  };
  return {
    ...said,
    raw: options.raw,
    model: options.model,
    node: options.node,
    backend: options.backend,
    device: options.device,
    ctx: options.ctx,
    slots: options.slots,
    max_tokens: options.maxTokens ?? config.infer.max_tokens,
    temperature: options.temperature ?? config.infer.temperature,
    top_p: options.topP,
    top_k: options.topK,
    min_p: options.minP,
    seed: options.seed,
    repetition_penalty: options.repetitionPenalty,
    stop: options.stop && [...options.stop],
    ignore_eos: options.ignoreEos,
    timeout_s: options.timeout,
    wait_s: options.wait,
    explain: options.explain,
    // All commands of one terminal or script are one client.
    client: `keeper-${Deno.ppid}`,
  };
}

/** One answer while it comes. */
class Answer {
  readonly #keeper: Keeper;
  readonly #task: Task;
  readonly #options: InferOptions;
  readonly #cut = new AbortController();
  readonly #pieces: string[] = [];
  #taskId?: string;
  #tokens = 0;
  #giveUp?: (reason: unknown) => void;
  #end?: InferenceEnd;

  constructor(keeper: Keeper, task: Task, options: InferOptions) {
    this.#keeper = keeper;
    this.#task = task;
    this.#options = options;
    keeper.signal.addEventListener("abort", () => this.#giveUp?.(keeper.signal.reason), { once: true });
  }

  get #streams(): boolean {
    return this.#options.stream !== false && !this.#keeper.render.json;
  }

  async run(session: QueenSession): Promise<number> {
    try {
      await this.#follow(session);
    } catch (thrown) {
      this.#cut.abort(thrown);
      if (this.#keeper.signal.aborted) return await this.#canceled(session);
      if (thrown instanceof OutputClosed) return exitCodes.success;
      throw await this.#failed(thrown);
    }
    if (this.#keeper.signal.aborted) return await this.#canceled(session);
    return await this.#finish();
  }

  async #follow(session: QueenSession): Promise<void> {
    const signal = AbortSignal.any([this.#keeper.signal, this.#cut.signal]);
    const stream = await callStream(session.queen.peer, queenRoutes.submitTask, { body: this.#task, signal });
    session.attached.catch((reason) => this.#cut.abort(reason));
    for await (const event of readTask(stream.body, { cut: (reason) => this.#cut.abort(reason) })) {
      await this.#show(event);
    }
  }

  async #show(event: TaskEvent): Promise<void> {
    const { render } = this.#keeper;
    if (event.type === "started") this.#taskId = event.taskId;
    else if (event.type === "narration") render.narration(event.narration);
    else if (event.type === "end") this.#end = event.end;
    else if (event.type === "progress") render.progress(programOf(event.progress), event.progress);
    else if (event.type === "text") {
      this.#pieces.push(event.text);
      this.#tokens = event.tokens;
      if (this.#streams) await this.#unlessAborted(render.text(event.text));
    }
  }

  /** A stdout that nobody reads (a pager) blocks our writes; Ctrl+C must get through all the same. */
  #unlessAborted(write: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#giveUp = reject;
      write.then(resolve, reject);
    });
  }

  async #finish(): Promise<number> {
    const { render } = this.#keeper;
    const end = this.#end!;
    const text = this.#pieces.join("");
    render.finishProgress();
    if (render.json) await render.value({ task_id: this.#taskId, text, ...end });
    else {
      if (!this.#streams) await render.text(text);
      if (render.isMidLine) await render.line("");
    }
    if (this.#options.stats) render.note("rbee-keeper", `📊 ${statsText(end)}`);
    if (end.stop_reason === "CANCELLED") {
      throw new RbeeError("REQUEST_CANCELED", { message: "Canceled: the task was ended by another program" });
    }
    if (end.stop_reason === "ERROR") throw new RbeeError("INFERENCE_FAILED");
    return exitCodes.success;
  }

  /** Returns the error to show: with the text so far saved, or a wish to try with another queen. */
  async #failed(thrown: unknown): Promise<unknown> {
    const error = toRbeeError(thrown);
    if (this.#tokens === 0) {
      const untouched = this.#taskId === undefined && /^CONNECTION_/.test(error.code);
      return error.code === "SHUTTING_DOWN" || untouched ? new RetryElsewhere(error) : error;
    }
    const { render } = this.#keeper;
    const partial = withPartial(error, {
      taskId: this.#taskId ?? crypto.randomUUID(),
      text: this.#pieces.join(""),
      tokens: this.#tokens,
      maxTokens: this.#task.max_tokens ?? limits.maxTokensDefault,
    }, this.#keeper.paths.partial);
    if (!render.json) {
      if (!this.#streams) await render.text(this.#pieces.join(""));
      if (render.isMidLine) await render.line("");
    }
    return partial;
  }

  /** The closed stream cancels the task; the DELETE is for a queen who has not noticed. */
  async #canceled(session: QueenSession): Promise<number> {
    if (this.#taskId !== undefined) {
      await call(session.queen.peer, queenRoutes.cancelTask, {
        params: { id: this.#taskId },
        deadlineMs: limits.cancelAckMs,
        attempts: 1,
      }).catch(() => {}); // she has forgotten it already, or is gone: canceled either way
    }
    this.#keeper.render.canceled();
    return exitCodes.canceled;
  }
}

/** Returns the line of `--stats`. */
export function statsText(end: InferenceEnd): string {
  const ms = (value: number) => `${Math.round(value)} ms`;
  const cached = end.prompt_tokens_cached > 0 ? ` (${end.prompt_tokens_cached} cached)` : "";
  return `${end.total_tokens} tokens, ${
    end.tokens_per_second.toFixed(1)
  } tokens/s; prompt ${end.prompt_tokens} tokens` +
    `${cached}, prefill ${ms(end.prefill_ms)}, decode ${ms(end.decode_ms)}; seed ${end.seed}; ${end.stop_reason}`;
}
