import assert from "node:assert/strict";
import { RbeeError, toErrorBody } from "../protocol/error.ts";
import { doneText, encodeJsonEvent } from "../protocol/sse.ts";
import type { StreamWriter } from "../runtime/event_stream.ts";
import { memoryText } from "./models_text.ts";
import { timeText } from "./setup.ts";
import { runKeeper, startKeeper, until } from "./testdata/run_keeper.ts";
import { StandInQueen } from "./testdata/stand_in_queen.ts";

const ref = "hf:bartowski/SmolLM2-135M-Instruct-GGUF:Q4_K_M";
const model = {
  ...{ id: "smollm2-q4", provider: "hf", reference: "bartowski/SmolLM2-135M-Instruct-GGUF", variant: "Q4_K_M" },
  ...{ local_path: "/models/smollm2-q4.gguf", size_bytes: 5 * 1024 ** 2, downloaded_at_unix: 1_728_508_603 },
  ...{ digest: "sha256:ab", quantization: "Q4_K_M", architecture: "llama", context_length: 8192 },
  ...{ last_used_unix: null, use_count: 3, damaged: false },
};
const listed = (node: string, more = {}) => ({ ...model, node, ref, ...more });
const narrated = (action: string, human: string) =>
  encodeJsonEvent({ actor: "rbee-hive", action, target: ref, human }, "narration");
const progress = (bytes_downloaded: number) =>
  encodeJsonEvent(
    { stage: "downloading", bytes_downloaded, bytes_total: 5 * 1024 ** 2, speed_mbps: 45.24 },
    "progress",
  );
const pulled = { node: "local", model_ref: ref, source: "hub", bytes: 5 * 1024 ** 2, model };

async function pulls(out: StreamWriter): Promise<void> {
  await out.write(narrated("model-pull", `📦 Pulling ${ref} to local`));
  await out.write(progress(2 * 1024 ** 2));
  await out.write(encodeJsonEvent({ stage: "complete", local_path: model.local_path }, "progress"));
  await out.write(encodeJsonEvent(pulled) + doneText);
}

Deno.test("models are listed with machine, size and last use; a machine that does not answer is a line", async () => {
  const states = [
    { node: "local", status: "connected" as const, error: null },
    { node: "blep", status: "unreachable" as const, error: "connection timeout" },
  ];
  const used = listed("pi", { id: "big", size_bytes: 5 * 1024 ** 3, quantization: null, last_used_unix: 1 });
  await using queen = new StandInQueen({ models: [listed("local"), used], states });
  const ran = await runKeeper(["models"], queen);
  assert.equal(ran.code, 0, ran.stderr);
  const [heading, first, second, silent] = ran.stdout.trimEnd().split("\n");
  assert.match(heading, /^NAME +REFERENCE +SIZE +QUANT +NODE +LAST USED$/);
  assert.match(first, new RegExp(`^smollm2-q4 +${ref} +5\\.0 MB +Q4_K_M +local +never$`));
  assert.ok(second.includes("5.0 GB") && second.endsWith(timeText(1)), second);
  assert.equal(silent, "✗ blep: unreachable: connection timeout");
  const json = JSON.parse((await runKeeper(["models", "list", "--json"], queen)).stdout);
  assert.deepEqual(json, { models: [listed("local"), used], nodes: states });
  await using empty = new StandInQueen({});
  assert.match((await runKeeper(["models", "list"], empty)).stdout, /^No models yet\. `rbee models pull smollm2`/);
});

Deno.test("show finds a model by its name, its reference and an alias, and says where a missing one comes from", async () => {
  await using queen = new StandInQueen({ models: [listed("local")] });
  for (const name of ["smollm2-q4", ref, "smollm2", "hf:bartowski/SmolLM2-135M-Instruct-GGUF"]) {
    const { code, stdout } = await runKeeper(["models", "show", name], queen);
    assert.equal(code, 0, name);
    assert.match(stdout, /^smollm2-q4\n {2}Reference: hf:/);
    for (
      const fact of ["Context: 8192 tokens", "Digest: sha256:ab", "Path: /models/smollm2-q4.gguf", "Used: 3 times"]
    ) {
      assert.ok(stdout.includes(`  ${fact}\n`), fact);
    }
  }
  const missing = await runKeeper(["models", "show", "tinyllama"], queen);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /MODEL_NOT_FOUND[^]*rbee models pull tinyllama fetches it/);
  assert.match((await runKeeper(["models", "show", "what is this"], queen)).stderr, /INVALID_MODEL_REF/);
});

Deno.test("what a model takes of memory is told for usual contexts and its largest", () => {
  const shape = {
    ...{ architecture: "llama", layers: 30, context_length: 8_192, vocab_size: 49_152, embedding_length: 576 },
    ...{
      feed_forward_length: 1_536,
      head_count: 9,
      kv_elements_per_token: 11_520,
      layer_bytes: 70e6,
      other_bytes: 28e6,
    },
  };
  assert.match(
    memoryText({ size_bytes: 98e6, shape }),
    /^\d+\.\d MB with 4096 tokens of context, \d+\.\d MB with 8192 tokens of context$/,
  );
  assert.match(memoryText({ size_bytes: 98e6, shape: null }), /^\d+\.\d MB with 4096 tokens of context$/);
});

Deno.test("pull tells how far it is, and where the model is then", async () => {
  await using queen = new StandInQueen({ onModel: pulls });
  const ran = await runKeeper(["models", "pull", "smollm2", "--node", "pi"], queen);
  assert.equal(
    ran.stderr,
    `[rbee-hive] 📦 Pulling ${ref} to local\n` +
      "[rbee-hive] ⏳ Downloading: 40% (2.0 MB / 5.0 MB) 45.2 MB/s\n" +
      "[rbee-hive] ⏳ Downloading: 100% (5.0 MB / 5.0 MB) 45.2 MB/s\n",
  );
  assert.deepEqual([ran.code, ran.stdout], [0, `✓ ${ref} is on local: 5.0 MB, downloaded\n`]);
  assert.deepEqual(queen.modelWishes, [{ model: "smollm2", node: "pi" }]);
  assert.equal((await runKeeper(["models", "pull", "smollm2", "--quiet"], queen)).stderr, "");
  const lines = (await runKeeper(["models", "pull", "smollm2", "--json"], queen)).stdout.trimEnd().split("\n");
  const values = lines.map((line) => JSON.parse(line));
  assert.deepEqual(values.map((one) => Object.keys(one)[0]), ["narration", "progress", "progress", "node"]);
  assert.deepEqual(values.at(-1), pulled);
});

Deno.test("Ctrl+C during a pull ends with 130 and the line to go on with", async () => {
  let isLeft = false;
  const onModel = async (out: StreamWriter) => {
    await out.write(progress(1024 ** 2));
    await new Promise((resolve) => out.signal.addEventListener("abort", resolve));
    isLeft = true;
  };
  await using queen = new StandInQueen({ onModel });
  const child = startKeeper(["models", "pull", "smollm2", "--node", "pi"], queen);
  await until(() => queen.modelWishes.length === 1);
  child.kill("SIGINT");
  const { code, stderr } = await child.output();
  assert.equal(code, 130);
  assert.match(
    new TextDecoder().decode(stderr),
    /Canceled\.\n\[rbee-keeper\] What came stays\. Go on with: rbee models pull smollm2 --node pi\n$/,
  );
  await until(() => isLeft);
});

Deno.test("an ambiguous model shows what there is, what fits, and a line that works", async () => {
  const variants = [
    { name: "Q2_K", quantization: "Q2_K", size_bytes: 1024 ** 2, fits: true },
    { name: "Q4_K_M", quantization: "Q4_K_M", size_bytes: 2 * 1024 ** 2, fits: true },
    { name: "F16", quantization: "F16", size_bytes: 90 * 1024 ** 3, fits: false },
  ];
  const error = new RbeeError("MODEL_AMBIGUOUS", { details: { repository: "hf:org/repo", variants } });
  const onModel = async (out: StreamWriter) => {
    await out.write(encodeJsonEvent(toErrorBody(error)) + doneText);
  };
  await using queen = new StandInQueen({ onModel });
  const { code, stderr } = await runKeeper(["models", "pull", "hf:org/repo"], queen);
  assert.equal(code, 1);
  assert.match(stderr, /NAME +QUANT +SIZE +FITS\n/);
  assert.match(stderr, /F16 +F16 +90\.0 GB +no\n/);
  assert.match(stderr, /Name one of them, for example:\n {4}rbee models pull hf:org\/repo:Q4_K_M\n$/);
});

Deno.test("of two files of one quantisation the line names the file, with the revision and without what was unclear", async () => {
  const variants = ["a", "b"].map((folder) => ({
    ...{ name: `${folder}/model-Q4_0.gguf`, quantization: "Q4_0", size_bytes: 1024 ** 2, fits: true },
  }));
  const error = new RbeeError("MODEL_AMBIGUOUS", { details: { model_ref: "hf:org/repo:q4_0@v1", variants } });
  const onModel = async (out: StreamWriter) => {
    await out.write(encodeJsonEvent(toErrorBody(error)) + doneText);
  };
  await using queen = new StandInQueen({ onModel });
  const { stderr } = await runKeeper(["models", "pull", "hf:org/repo:q4_0@v1"], queen);
  assert.match(stderr, /\n {4}hf:org\/repo:a\/model-Q4_0\.gguf@v1\n$/);
});

Deno.test("a repository that is not for everybody: the error tells how rbee gets the token", async () => {
  const error = new RbeeError("ACCESS_DENIED", {
    hint: "Accept its terms",
    details: { page: "https://huggingface.co/meta/secret" },
  });
  const onModel = async (out: StreamWriter) => {
    await out.write(encodeJsonEvent(toErrorBody(error)) + doneText);
  };
  await using queen = new StandInQueen({ onModel });
  const { stderr } = await runKeeper(["models", "pull", "hf:meta/secret:Q4_0"], queen);
  assert.match(stderr, /Suggestion: Accept its terms\n/);
  assert.match(stderr, /HF_TOKEN=hf_\.\.\. rbee models pull hf:meta\/secret /);
});

Deno.test("rm, verify and import tell what came of it, and end with 1 when it is not good", async () => {
  let result = "ok";
  const onModel = async (out: StreamWriter, wish: Record<string, unknown>) => {
    const taken = { models: result === "ok" ? [model] : [], skipped: [{ path: "/x", reason: "no GGUF" }] };
    await out.write(encodeJsonEvent("path" in wish ? taken : { model_ref: ref, result, digest: null }) + doneText);
  };
  await using queen = new StandInQueen({ onModel });
  const removed = await runKeeper(["models", "rm", "smollm2", "--node", "pi", "--yes"], queen);
  assert.equal(
    removed.stdout,
    "✓ smollm2 removed from pi: 3.0 MB freed\n  /data/mine.gguf is not rbee's own and stays\n",
  );
  assert.match((await runKeeper(["models", "verify", "smollm2"], queen)).stdout, /^✓ hf:.*every byte is as it should/);
  const imported = await runKeeper(["models", "import", "sub/one.gguf"], queen);
  assert.equal(imported.stdout, "✓ smollm2-q4: 5.0 MB, /models/smollm2-q4.gguf\n○ /x: no GGUF\n");
  assert.deepEqual(queen.modelWishes.at(-1), { path: `${queen.home}/sub/one.gguf` });
  result = "damaged";
  const damaged = await runKeeper(["models", "verify", "smollm2"], queen);
  assert.deepEqual([damaged.code, damaged.stdout.startsWith("✗ ")], [1, true]);
  assert.equal((await runKeeper(["models", "import", "/y", "--json"], queen)).code, 1);
});

Deno.test("aliases are shown without any queen, and completion knows them and what is on disk", async () => {
  await using queen = new StandInQueen({ models: [listed("local")] });
  const config = `${queen.home}/config.toml`;
  Deno.writeTextFileSync(config, '[models]\naliases = { story = "file:/story.gguf" }\n');
  const env = { RBEE_CONFIG: config };
  const { stdout } = await runKeeper(["models", "aliases"], { home: queen.home, env });
  assert.match(stdout, /^ALIAS +MODEL +FROM\n/);
  assert.match(stdout, /smollm2 +hf:bartowski\S+ +built in\n/);
  assert.match(stdout, /story +file:\/story\.gguf +config\.toml\n/);
  const complete = async (...words: string[]) =>
    (await runKeeper(["__complete", "--", ...words], { home: queen.home, env })).stdout.split("\n")
      .map((line) => line.split("\t")[0]).filter(Boolean);
  assert.deepEqual(await complete("models", "rm", "smollm2-"), ["smollm2-q4"]);
  assert.deepEqual(await complete("models", "pull", "st"), ["story"]);
  assert.deepEqual(await complete("infer", "--model", "hf:bart"), [ref]);
});
