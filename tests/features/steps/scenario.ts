/**
 * What the steps of one scenario share, and the suite that they are defined in.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "../../../runtime/path.ts";
import type { WorkerRecord } from "../../../protocol/worker.ts";
import { canRunCluster, clusterNeed } from "../../support/cluster.ts";
import { eventually } from "../../support/eventually.ts";
import { Suite } from "../../support/gherkin.ts";
import { gpuBackend } from "../../support/gpu.ts";
import { canMount } from "../../support/mounts.ts";
import type { Finished, Program } from "../../support/program.ts";
import { canRunSshd, me } from "../../support/sshd.ts";
import { largeForm, slowGguf } from "../../support/slow_gguf.ts";
import { hasSmollm2, smollm2, testModelLine } from "../../support/smollm2.ts";
import { canRunNpm } from "../../support/source_repository.ts";
import type { EventReader } from "../../support/sse_reader.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { type Answer, World } from "../../support/world.ts";

/** A worker as a scenario remembers it. */
export interface SeenWorker {
  readonly id: string;
  readonly url: string;
  readonly pid: number;
}

/** One scenario: its world and what has happened so far. */
export class Scenario implements AsyncDisposable {
  readonly world: World = new World();
  /** The command that a person has started, and how it ended. */
  command?: Program;
  finished?: Finished;
  answer?: Answer;
  reader?: EventReader;
  worker?: SeenWorker;
  hive?: Program;
  queen?: Program;
  /** Added to the environment of what a person starts. */
  readonly env: Record<string, string> = {};
  /** Whatever else a later step compares with. */
  readonly noted: Map<string, unknown> = new Map();
  readonly #closing: (() => Promise<void>)[] = [];

  /** Runs when the scenario is over, whatever came of it. */
  atEnd(close: () => Promise<void>): void {
    this.#closing.push(close);
  }

  /** Starts an `rbee` command line; names like `$SLOW` stand for this scenario's models. */
  async start(line: string, options: { terminal?: boolean; programs?: string } = {}): Promise<Program> {
    this.finished = undefined;
    this.command = this.world.start("rbee", await this.#words(line), { ...options, env: this.env });
    return this.command;
  }

  /** Waits for the command's end. */
  async ends(withinMs = 20_000): Promise<Finished> {
    this.finished ??= await must(this.command, "a command").ends(withinMs);
    return this.finished;
  }

  /**
   * Returns a model reference, or (for `$ME`) who runs the tests; `$SLOW`, `$LARGE` and `$HUGE` stand for files that are
   * made when first wanted, `$SMOLLM2` for a real model.
   */
  async model(name: string): Promise<string> {
    const folder = join(temporaryFolder(), "rbee-test-models");
    if (name === "$SLOW") return `file:${await slowGguf({ folder })}`;
    if (name === "$LARGE") return `file:${await slowGguf({ folder, ...largeForm })}`;
    if (name === "$SMOLLM2") return `file:${smollm2}`;
    if (name === "$ME") return me();
    if (name === "$MTL") return String(must(this.noted.get(name), "a hub"));
    if (name === "$BOX_SLOW") return String(must(this.noted.get(name), "a machine with rbee"));
    if (name === "$HUGE") return `file:${this.noted.get("huge")}`;
    return name;
  }

  /** Returns the one worker that the hive lists, when it has one. Throws when it has none or several. */
  async oneWorker(): Promise<WorkerRecord> {
    const workers = await this.world.workers();
    assert.equal(workers.length, 1, `one worker: ${JSON.stringify(workers)}`);
    return workers[0];
  }

  /** Remembers a worker of the hive's list. */
  async remember(id?: string): Promise<SeenWorker> {
    const found = id === undefined
      ? await this.oneWorker()
      : (await this.world.workers()).find((worker) => worker.id === id);
    const { url, pid, id: itsId } = must(found, `worker ${id}`);
    this.worker = { id: itsId, url, pid: must(pid, "its process") };
    return this.worker;
  }

  /** Calls the remembered worker with its key. */
  async askWorker(request: string, body?: unknown): Promise<Answer> {
    const { id, url } = must(this.worker, "a worker");
    this.answer = await this.world.call({ who: id, url }, request, { body });
    return this.answer;
  }

  /** Waits until the hive lists that the remembered worker is in one of these states. */
  async workerIs(states: readonly string[], withinMs: number): Promise<WorkerRecord> {
    const { id } = must(this.worker, "a worker");
    let seen = "";
    return await eventually(async () => {
      const record = (await this.world.workers()).find((worker) => worker.id === id);
      seen = JSON.stringify(record);
      return record && states.includes(record.state) ? record : undefined;
    }, { withinMs, what: `the worker is ${states.join(" or ")}`, seen: () => seen });
  }

  /** Ends everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.reader?.[Symbol.asyncDispose]();
    for (const close of this.#closing) await close();
    await this.world[Symbol.asyncDispose]();
  }

  async #words(line: string): Promise<string[]> {
    const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map((m) => m[1] ?? m[2]);
    return await Promise.all(words.map((w) => w === "$WORKER" ? must(this.worker, "a worker").id : this.model(w)));
  }
}

/** Returns a value that must be there. Throws, naming it, when it is not. */
export function must<T>(value: T, what: string): NonNullable<T> {
  if (value === undefined || value === null) throw new Error(`Cannot go on: ${what} is missing`);
  return value;
}

/** All step definitions of the features. */
export const suite: Suite<Scenario> = new Suite<Scenario>({
  create: () => Promise.resolve(new Scenario()),
  dispose: (scenario) => scenario[Symbol.asyncDispose](),
  report: (scenario) => scenario.world.report(),
  // A whole build on a machine that other tests keep busy.
  msMaxOf: { "@build": 300_000 },
  needs: [{
    tag: "@sshd",
    isMet: canRunSshd,
    why: "needs sshd",
    line: "apt-get install openssh-server, then TAGS=@sshd deno task test tests/features",
  }, {
    tag: "@cluster",
    isMet: canRunCluster,
    why: clusterNeed.why,
    line: `${clusterNeed.install}, then as root TAGS=@cluster deno task test tests/features`,
  }, {
    tag: "@npm",
    isMet: canRunNpm,
    why: "needs npm, from whose cache a machine without a network builds",
    line: "install Node.js with npm, then as root TAGS=@npm deno task test tests/features",
  }, {
    tag: "@mounts",
    isMet: canMount,
    why: "needs the right to mount in a namespace of its own (unshare -rm)",
    line: "TAGS=@mounts deno task test tests/features",
  }, {
    tag: "@smollm2",
    isMet: () => hasSmollm2,
    why: "needs the model SmolLM2-135M",
    line: `${testModelLine}, then TAGS=@smollm2 deno task test tests/features`,
  }, {
    tag: "@gpu",
    isMet: () => gpuBackend !== undefined,
    why: "needs a GPU and a worker for it",
    line: "deno task compile --backend cuda (or vulkan), then TAGS=@gpu deno task test tests/features",
  }],
});
