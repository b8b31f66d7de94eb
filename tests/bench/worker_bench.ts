/**
 * The worker over HTTP against the same engine in this process, and against node-llama-cpp without anything of ours:
 * what HTTP costs, and what our engine does. Runs are paired, so that a machine that is busy now and then is as busy
 * for each.
 *
 * @module
 */
import type { LoadedModel } from "../../native/engine.ts";
import { LlamaEngine } from "../../native/llama.ts";
import { limits } from "../../protocol/limits.ts";
import { fromFileUrl, join } from "../../runtime/path.ts";
import { tinyGguf } from "../../native/tiny.ts";
import { Program } from "../support/program.ts";
import { slowGguf } from "../support/slow_gguf.ts";
import { newTemporaryFolder, removeFolder, temporaryFolder } from "../support/temporary.ts";
import { executablePath } from "../support/world.ts";
import { Bare } from "./bare_llama.ts";
import { median, say, sayTable } from "./figures.ts";
import { readTogether } from "./streams.ts";

const key = "bench";
const prompt = "Once upon a time there was";
const ctxTokens = 1_024;

/** One comparison. */
interface Setting {
  readonly name: string;
  readonly modelPath: string;
  readonly slots: number;
  readonly tokens: number;
  readonly pairs: number;
}

/** Measures and prints. */
export async function run(): Promise<void> {
  const tiny = fromFileUrl(tinyGguf());
  const slow = await slowGguf({ folder: join(temporaryFolder(), "rbee-test-models") });
  say("\nworker over HTTP: tokens per second of all slots together; medians of paired runs, ratios of the pairs");
  const pulse = setInterval(() => {}, limits.workerPulseMs); // timers stall beside native code, see worker/worker.ts
  const rows: (string | number)[][] = [["", "worker", "engine", "ratio", "bare library", "ratio"]];
  for (const slots of [1, 8]) {
    rows.push(await compare({ name: `builtin:tiny, ${slots} slots`, modelPath: tiny, slots, tokens: 400, pairs: 7 }));
    rows.push(await compare({ name: `slow model, ${slots} slots`, modelPath: slow, slots, tokens: 32, pairs: 3 }));
  }
  clearInterval(pulse);
  sayTable(rows);
}

async function compare(setting: Setting): Promise<(string | number)[]> {
  const { modelPath, slots, tokens } = setting;
  const signal = new AbortController().signal;
  const load = { modelPath, backend: "cpu" as const, device: 0, slots, ctxTokensMax: ctxTokens, signal };
  await using model = await new LlamaEngine().load({ ...load, onProgress() {} });
  const { threads } = model.facts;
  await using bare = await Bare.load({ modelPath, slots, threads, ctxTokens });
  await using worker = await BenchWorker.start(setting, threads);
  const measured = { worker: [] as number[], engine: [] as number[], bare: [] as number[] };
  for (let pair = 0; pair <= setting.pairs; pair++) {
    const engine = await inProcess(model, { slots, tokens });
    const http = await worker.generate({ slots, tokens });
    const plain = await bare.generate(prompt, tokens);
    if (pair === 0) continue; // the first warms everything up
    measured.engine.push(engine);
    measured.worker.push(http);
    measured.bare.push(plain);
  }
  const ratios = (to: number[]) => median(measured.worker.map((value, at) => value / to[at]));
  return [
    `${setting.name}, ${threads} threads`,
    median(measured.worker),
    median(measured.engine),
    ratios(measured.engine),
    median(measured.bare),
    ratios(measured.bare),
  ];
}

/** Generates in all slots of the engine at once; returns tokens per second of all together. */
async function inProcess(model: LoadedModel, what: { slots: number; tokens: number }): Promise<number> {
  const startedMs = performance.now();
  const one = async (slot: number) => {
    const tokens = model.prepare({ prompt, raw: true });
    const sampling = { temperature: 0, topP: 1, topK: 0, minP: 0, repetitionPenalty: 1, seed: 1 };
    const { signal } = new AbortController();
    let count = 0;
    const options = { slot, tokens, sampling, maxTokens: what.tokens, ignoreEos: true, signal };
    for await (const _token of model.generate(options)) count++;
    return count;
  };
  const counts = await Promise.all(Array.from({ length: what.slots }, (_none, slot) => one(slot)));
  return counts.reduce((sum, count) => sum + count) / (performance.now() - startedMs) * 1_000;
}

/** The real worker executable, started by hand. */
class BenchWorker implements AsyncDisposable {
  readonly #program: Program;
  readonly #folder: string;
  readonly #url: string;

  private constructor(program: Program, folder: string, url: string) {
    this.#program = program;
    this.#folder = folder;
    this.#url = url;
  }

  /** Starts a worker and waits until it has loaded. */
  static async start(setting: Setting, threads: number): Promise<BenchWorker> {
    const folder = newTemporaryFolder();
    Deno.symlinkSync(setting.modelPath, join(folder, "model.gguf"));
    const program = new Program({
      exe: executablePath("llm-worker-rbee"),
      args: [
        ...["--model", "model.gguf", "--model-ref", "bench", "--port", "0", "--slots", String(setting.slots)],
        ...["--ctx", String(ctxTokens), "--threads", String(threads)],
      ],
      cwd: Deno.realPathSync(folder),
      env: { RBEE_WORKER_KEY: key, HOME: folder, PATH: "/usr/bin:/bin" },
    });
    const [, url] = await program.sees(/"url":"(http[^"]+)"/, { withinMs: 10_000 });
    await program.sees(/loading ended/, { withinMs: 60_000 });
    return new BenchWorker(program, folder, url);
  }

  /** Generates in all slots at once; returns tokens per second of all together. */
  async generate(what: { slots: number; tokens: number }): Promise<number> {
    const body = { prompt, raw: true, temperature: 0, ignore_eos: true, max_tokens: what.tokens, request_id: "" };
    const asks = Array.from({ length: what.slots }, (_none, slot) => {
      return { url: `${this.#url}/v1/inference`, token: key, body: { ...body, request_id: `b${slot}` } };
    });
    return (await readTogether(asks)).tokensPerSecond;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#program.signal("SIGTERM");
    await this.#program.ends(10_000);
    removeFolder(this.#folder);
  }
}
