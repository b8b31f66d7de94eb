/** Steps about how much memory a model takes, and what is said where there is too little. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { processMemoryBytes } from "../../../native/memory.ts";
import { join } from "../../../runtime/path.ts";
import { isAlive } from "../../support/processes.ts";
import { quantize, type WeightType } from "../../support/quantize.ts";
import { slowGguf } from "../../support/slow_gguf.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import type { LoopbackNode } from "../../support/loopback_node.ts";
import { must, type Scenario, suite } from "./scenario.ts";

const megabyte = 1024 * 1024;
const tiny = new URL("../../../native/tiny/tiny.gguf", import.meta.url).pathname;

/** The machine's description as the probe command of its configuration prints it. */
function description(gpus: { count: number; backend: string; freeMb: number }, freeMb: number): string {
  return JSON.stringify({
    memory_total_bytes: 64_000 * megabyte,
    memory_available_bytes: freeMb * megabyte,
    gpus: Array.from({ length: gpus.count }, (_none, index) => ({
      backend: gpus.backend,
      index,
      name: "A described device",
      memory_total_bytes: 24_000 * megabyte,
      memory_free_bytes: gpus.freeMb * megabyte,
    })),
  });
}

suite.step("a machine that is described with {int} MB of free memory and no GPU", function (freeMb: number) {
  const file = join(this.world.root, "machine.json");
  Deno.writeTextFileSync(file, description({ count: 0, backend: "cuda", freeMb: 0 }, freeMb));
  this.world.configure({ hive: { probe: ["/bin/cat", file] } });
});

suite.step(
  "{string} is described with {int} MB of free memory and a {string} device with {int} MB",
  function (host: string, freeMb: number, backend: string, deviceMb: number) {
    const { home } = must(this.noted.get(`machine ${host}`) as LoopbackNode | undefined, `machine ${host}`);
    const file = join(home, "machine.json");
    Deno.writeTextFileSync(file, description({ count: 1, backend, freeMb: deviceMb }, freeMb));
    Deno.mkdirSync(join(home, ".config/rbee"), { recursive: true });
    Deno.writeTextFileSync(join(home, ".config/rbee/config.toml"), `[hive]\nprobe = ["/bin/cat", "${file}"]\n`);
  },
);

suite.step("the small model as {string}", async function (kinds: string) {
  for (const kind of kinds.split(", ") as WeightType[]) {
    await quantize(tiny, join(this.world.root, `tiny.${kind}.gguf`), kind);
  }
});

suite.step("a larger model of random weights as {string}", async function (kinds: string) {
  // 12 layers: 48, 90 and 170 MB, so that what the program itself takes does not hide the difference.
  const form = { folder: join(temporaryFolder(), "rbee-test-models"), layers: 12, width: 768 };
  const source = await slowGguf(form);
  for (const kind of kinds.split(", ") as WeightType[]) {
    await quantize(source, join(this.world.root, `larger.${kind}.gguf`), kind);
  }
});

interface Loaded {
  readonly file: string;
  readonly quantization: string;
  readonly text: string;
  /** What its worker says that weights and context take. */
  readonly bytes: number;
  /** What the system says that its process holds. */
  readonly resident: number;
}

async function answerOf(scenario: Scenario, file: string): Promise<Loaded> {
  const before = new Set((await scenario.world.workers()).map(({ id }) => id));
  const line = `infer --model file:${join(scenario.world.root, file)} --prompt "hello" --max-tokens 12`;
  await scenario.start(`${line} --ignore-eos --temperature 0`); // some have random weights, and might say nothing
  const { code, stdout, stderr } = await scenario.ends(60_000);
  assert.equal(code, 0, stderr);
  const worker = must((await scenario.world.workers()).find(({ id }) => !before.has(id)), `a worker for ${file}`);
  await scenario.remember(worker.id);
  const { json } = await scenario.askWorker("GET /v1/health");
  const resident = must(processMemoryBytes(must(worker.pid, "its process")), "its memory");
  const { memory_bytes: bytes } = must((await scenario.world.workers()).find(({ id }) => id === worker.id), "it");
  return {
    file,
    quantization: String(json.model.quantization),
    text: stdout,
    bytes: must(bytes, "a figure"),
    resident,
  };
}

suite.step("a person asks each of these models for an answer", async function () {
  const loaded: Loaded[] = [];
  for (const model of ["tiny", "larger"]) {
    for (const kind of ["Q4_0", "Q8_0", "F16"]) loaded.push(await answerOf(this, `${model}.${kind}.gguf`));
  }
  this.noted.set("loaded", loaded);
});

const loadedOf = (scenario: Scenario) => must(scenario.noted.get("loaded") as Loaded[] | undefined, "loaded models");

suite.step("each answer has text, and each worker names the quantization of its file", function () {
  for (const { file, quantization, text } of loadedOf(this)) {
    assert.equal(quantization, file.split(".")[1]);
    assert.match(text, /\S/, file);
  }
});

suite.step("the memory of the larger model's workers grows from one to the next", function () {
  const loaded = loadedOf(this).filter(({ file }) => file.startsWith("larger"));
  const said = loaded.map(({ bytes }) => Math.round(bytes / megabyte));
  const [q4, q8, f16] = said;
  assert.ok(q8 - q4 > 30 && f16 - q8 > 60, `${said.join(", ")} MB`);
  const held = loaded.map(({ resident }) => Math.round(resident / megabyte));
  assert.ok(held[1] - held[0] > 20 && held[2] - held[1] > 40, `${held.join(", ")} MB`);
});

suite.step(
  "{string} is answered with {string} and the end-of-text token",
  async function (prompt: string, wanted: string) {
    const body = { prompt, max_tokens: 200, temperature: 0, stream: false };
    const { json, text } = await this.askWorker("POST /v1/inference", body);
    assert.equal(String(json.stop_reason), "EOS", text);
    assert.ok(String(json.text).includes(wanted), text);
  },
);

suite.step("the hive is asked to start a worker for that file", async function () {
  const body = { model_ref: await this.model("$HUGE"), backend: "cpu", device: 0 };
  this.answer = await this.world.call({ who: "hive" }, "POST /v1/workers/spawn", { body });
});

suite.step("the hive is asked twice at once to start a worker for that file", async function () {
  const body = { model_ref: await this.model("$HUGE"), backend: "cpu", device: 0 };
  const ask = () => this.world.call({ who: "hive" }, "POST /v1/workers/spawn", { body });
  const answers = await Promise.all([ask(), ask()]);
  this.noted.set("statuses", answers.map(({ status }) => status).sort());
  this.answer = answers.find(({ status }) => status !== 200);
});

suite.step("one of them starts, and the other is refused with {string}", function (code: string) {
  assert.deepEqual(this.noted.get("statuses"), [200, 503]);
  assert.equal(must(this.answer, "a refusal").json.error.code, code);
});

suite.step(
  "the error requires {int} MB, of which less than {int} MB are available",
  function (need: number, max: number) {
    const { details } = must(this.answer, "an answer").json.error;
    assert.equal(Number(details.required), need);
    assert.ok(Number(details.available) < max, JSON.stringify(details));
  },
);

suite.step("preflight lets it pass, and a worker is started for it", async function () {
  const { status, json, text } = must(this.answer, "an answer");
  assert.equal(status, 200, text);
  // That it loads is for other scenarios: to read a hole of 5 GB takes a busy machine half a minute.
  const { pid } = await this.remember(String(json.worker_id));
  assert.ok(isAlive(pid));
});

suite.step("the catalog holds that file with its size of {int} MB in bytes", function (size: number) {
  const path = Deno.realPathSync(String(this.noted.get("huge")));
  using db = new DatabaseSync(join(this.world.home, "models.db"), { readOnly: true });
  const row = db.prepare("select size_bytes from models where local_path = ?").get(path);
  assert.equal(row?.size_bytes, size * megabyte);
  assert.equal(row?.size_bytes, Deno.statSync(path).size);
});
