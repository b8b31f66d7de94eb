/**
 * Every task that somebody can still ask about: the live ones, and detached ones for a while after their end.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import type { generationFields } from "../protocol/inference.ts";
import { limits } from "../protocol/limits.ts";
import { parseModelRef, printModelRef } from "../protocol/model.ts";
import type { StartWorker, SubmitTask } from "../protocol/task.ts";
import type { StreamWriter } from "../runtime/event_stream.ts";
import { LiveTask, type TaskOutcome } from "./live_task.ts";
import { blocksOf } from "./prefixes.ts";
import type { TaskWish } from "./scheduler_messages.ts";

/** What is filled in when a client does not say it. */
export interface TaskDefaults {
  readonly model: string;
  readonly aliases: Readonly<Record<string, string>>;
  readonly waitMs: number;
}

const generation: readonly (keyof typeof generationFields)[] = [
  "prompt",
  "messages",
  "raw",
  "max_tokens",
  "temperature",
  "top_p",
  "top_k",
  "min_p",
  "repetition_penalty",
  "seed",
  "stop",
  "ignore_eos",
  "stream",
];

/** The live tasks and the kept ones. */
export class Tasks {
  readonly #defaults: TaskDefaults;
  readonly #tasks = new Map<string, LiveTask>();
  /** Detached and ended, oldest first, with the time of their forgetting. */
  readonly #kept = new Map<string, number>();
  /** Ended a while ago, oldest first: to cancel one of them again is no mistake. */
  readonly #ended = new Set<string>();
  readonly #onClientGone: (task: string) => void;

  constructor(defaults: TaskDefaults, onClientGone: (task: string) => void) {
    this.#defaults = defaults;
    this.#onClientGone = onClientGone;
  }

  /** Makes the task of a request for an inference. Throws `INVALID_MODEL_REF`. */
  add(body: SubmitTask, correlationId: string): LiveTask {
    const id = newTaskId();
    const fields = Object.fromEntries(generation.map((name) => [name, body[name]]).filter(([, v]) => v !== undefined));
    return this.#keep(
      new LiveTask({
        wish: {
          id,
          kind: "infer",
          demand: this.demandOf(body),
          slots: body.slots,
          waitMs: body.wait_s === undefined ? this.#defaults.waitMs : body.wait_s * 1_000,
          timeoutMs: body.timeout_s === undefined ? limits.taskTimeoutMs : body.timeout_s * 1_000,
          correlationId,
          client: body.client,
          explain: body.explain,
          ...promptFacts(body),
        },
        delivery: body.detach ? "detached" : body.stream ? "stream" : "answer",
        // A detached task is read as a stream, whenever its readers come.
        request: { ...fields, stream: body.stream || body.detach, request_id: id, dialect: "rbee" },
        correlationId,
        onClientGone: () => this.#onClientGone(id),
      }),
    );
  }

  /** Makes the task of a wish to load a model. Throws `INVALID_MODEL_REF`. */
  addLoad(body: StartWorker, correlationId: string): LiveTask {
    const id = newTaskId();
    const wish: TaskWish = {
      id,
      kind: "load",
      demand: { ...this.demandOf(body), keepS: body.keep_s },
      slots: body.slots,
      waitMs: this.#defaults.waitMs,
      timeoutMs: limits.taskTimeoutMs,
      correlationId,
    };
    const onClientGone = () => this.#onClientGone(id);
    return this.#keep(new LiveTask({ wish, delivery: "stream", correlationId, onClientGone }));
  }

  /** Returns what a body asks for, with what it leaves out filled in. Throws `INVALID_MODEL_REF`. */
  demandOf(body: Pick<SubmitTask, "model" | "node" | "backend" | "device" | "ctx">): TaskWish["demand"] {
    const { node, backend, device, ctx } = body;
    const model = printModelRef(parseModelRef(body.model ?? this.#defaults.model, this.#defaults.aliases));
    return { model, node, backend, device, ctx };
  }

  #keep(task: LiveTask): LiveTask {
    this.#tasks.set(task.id, task);
    return task;
  }

  /** Returns a task that lives or is kept, or undefined. */
  get(id: string): LiveTask | undefined {
    return this.#tasks.get(id);
  }

  /** Whether a task of that id lives, or has ended not long ago. */
  isKnown(id: string): boolean {
    return this.#tasks.has(id) || this.#ended.has(id);
  }

  /** Ends a task and forgets it; a detached one later. `last` is the end of a stream that ended well. */
  finish(id: string, outcome: TaskOutcome, last?: string): void {
    const task = this.#tasks.get(id);
    if (!task) return;
    task.finish(outcome, last);
    this.#ended.add(id);
    if (this.#ended.size > limits.tasksKeptMax) this.#ended.delete(this.#ended.values().next().value!);
    if (task.delivery !== "detached") this.#tasks.delete(id);
    else {
      this.#kept.set(id, performance.now() + limits.taskKeepMs);
      this.forgetOld();
    }
  }

  /** Forgets ended detached tasks that are old, too many or too large. */
  forgetOld(): void {
    let bytes = [...this.#kept.keys()].reduce((sum, id) => sum + (this.#tasks.get(id)?.journal.bytes ?? 0), 0);
    for (const [id, until] of this.#kept) {
      const tooMany = this.#kept.size > limits.tasksKeptMax || bytes > limits.tasksKeptBytesMax;
      if (!tooMany && performance.now() < until) return;
      bytes -= this.#tasks.get(id)?.journal.bytes ?? 0;
      this.#kept.delete(id);
      this.#tasks.delete(id);
    }
  }
}

/** Characters of a usual token. */
const charsPerToken = 4;

/** What the scheduler is told of a prompt: its length, hashes of its beginnings, and how long the answer may be. */
function promptFacts(body: SubmitTask): Pick<TaskWish, "promptTokens" | "answerTokens" | "blocks"> {
  const text = body.prompt ?? (body.messages ?? []).map(({ role, content }) => `${role}\n${content}\n`).join("");
  const promptTokens = Math.max(1, Math.ceil(text.length / charsPerToken));
  return { promptTokens, answerTokens: body.max_tokens, blocks: blocksOf(text) };
}

/** Returns an id that nobody can guess: it alone allows to cancel the task and to read it. */
function newTaskId(): string {
  return `task-${crypto.randomUUID().replaceAll("-", "").slice(0, 20)}`;
}

/**
 * Writes a detached task's stream to one of its readers, from the event after `lastEventId` on, at that reader's pace.
 * Throws `CONNECTION_LOST` for a reader so slow that what it still wants is not kept any more.
 */
export async function readDetached(task: LiveTask, out: StreamWriter, lastEventId?: string): Promise<void> {
  const { journal } = task;
  // One wait at a time: a race against a promise that lasts as long as the stream would leave a reaction for each token.
  let wake = () => {};
  out.signal.addEventListener("abort", () => wake(), { once: true });
  let position = lastEventId === undefined ? journal.firstEvent : journal.after(lastEventId);
  while (!out.signal.aborted) {
    if (position < journal.begin) {
      throw new RbeeError("CONNECTION_LOST", { message: "Cannot go on: this reader is too slow for the task" });
    }
    const changed = journal.changed;
    const isClosed = journal.isClosed;
    const bytes = journal.from(position);
    position += bytes.length;
    if (bytes.length > 0) await out.write(bytes);
    else if (isClosed) return;
    else {
      const wait = Promise.withResolvers<void>();
      wake = wait.resolve;
      changed.then(wait.resolve);
      await wait.promise;
    }
  }
}
