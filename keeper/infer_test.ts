import assert from "node:assert/strict";
import { rbeeDialect } from "../protocol/dialects/rbee.ts";
import { RbeeError, toErrorBody } from "../protocol/error.ts";
import { encodeJsonEvent } from "../protocol/sse.ts";
import { checkConfig } from "../runtime/config_schema.ts";
import { statsText, taskOf } from "./infer.ts";
import { runKeeper, startKeeper, until } from "./testdata/run_keeper.ts";
import { endOf, says, StandInQueen, taskId } from "./testdata/stand_in_queen.ts";

const narration = (human: string) =>
  encodeJsonEvent({ actor: "queen-rbee", action: "task-wait", target: "local", human }, "narration");
const progress = (layers_loaded: number) =>
  encodeJsonEvent({ stage: "loading_to_vram", layers_loaded, layers_total: 32, vram_mb: 1 }, "progress");
const forever = (signal: AbortSignal) =>
  new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));

Deno.test("infer writes tokens and one line break to stdout, everything else to stderr, and ends with 0", async () => {
  await using queen = new StandInQueen({
    onTask: async (out, task) => {
      await out.write(narration("🐝 Starting a worker"));
      await out.write(progress(16) + progress(32) + encodeJsonEvent({ stage: "ready" }, "progress"));
      await says("Once", " upon", " a", " time")(out, task);
    },
  });
  const ran = await runKeeper(["infer", "--prompt", "hello", "--max-tokens", "4", "--stats"], queen);
  assert.equal(ran.stdout, "Once upon a time\n");
  assert.match(
    ran.stderr,
    /^\[queen-rbee\] 🐝 Starting a worker\n\[llm-worker-rbee\] ⏳ Loading: 50% \(16\/32 layers\)\n/,
  );
  assert.match(ran.stderr, /100% \(32\/32 layers\)\n\[rbee-keeper\] 📊 4 tokens, 66\.7 tokens\/s/);
  assert.equal(ran.code, 0);
  const { prompt, max_tokens, temperature, model } = queen.tasks[0];
  assert.deepEqual({ prompt, max_tokens, temperature, model }, {
    ...{ prompt: "hello", max_tokens: 4, temperature: 0.7, model: undefined },
  });
});

Deno.test("a text that ends with a line break gets no second one", async () => {
  await using queen = new StandInQueen({ onTask: says("a poem", "\n") });
  assert.equal((await runKeeper(["infer", "-p", "x"], queen)).stdout, "a poem\n");
});

Deno.test("--quiet leaves stderr empty; --json prints one object and nothing else", async () => {
  await using queen = new StandInQueen({
    onTask: async (out, task) => {
      await out.write(narration("🐝 hello") + progress(32));
      await says("ä", "", "öü")(out, task);
    },
  });
  const quiet = await runKeeper(["infer", "-q", "x"], queen);
  assert.deepEqual(quiet, { code: 0, stdout: "äöü\n", stderr: "" });
  const json = await runKeeper(["infer", "--json", "x"], queen);
  assert.equal(json.stderr, "");
  const { task_id, text, total_tokens, stop_reason } = JSON.parse(json.stdout);
  assert.deepEqual([task_id, text, total_tokens, stop_reason], [taskId, "äöü", 3, "MAX_TOKENS"]);
  assert.equal((await runKeeper(["infer", "--no-stream", "-q", "x"], queen)).stdout, "äöü\n");
});

Deno.test("a download on the way to an answer shows how far it is and what broke, and --quiet hides it", async () => {
  const megabyte = 1024 ** 2;
  const downloading = (done: number) =>
    encodeJsonEvent({
      ...{ stage: "downloading", bytes_downloaded: done * megabyte, bytes_total: 5 * megabyte, speed_mbps: 2 },
    }, "progress");
  await using queen = new StandInQueen({
    onTask: async (out, task) => {
      await out.write(downloading(2) + narration("Error: Connection reset by peer") + downloading(3));
      await out.write(encodeJsonEvent({ stage: "complete", local_path: "/m.gguf" }, "progress") + progress(32));
      await says("x")(out, task);
    },
  });
  const { stderr } = await runKeeper(["infer", "-p", "x"], queen);
  assert.match(
    stderr,
    /^\[rbee-hive\] ⏳ Downloading: 40% \(2\.0 MB \/ 5\.0 MB\) 2\.0 MB\/s\n\[queen-rbee\] Error: Connection reset by peer\n/,
  );
  assert.match(stderr, /\[rbee-hive\] ⏳ Downloading: 100% .*\n\[llm-worker-rbee\] ⏳ Loading: 100%/);
  assert.deepEqual(await runKeeper(["infer", "-q", "-p", "x"], queen), { code: 0, stdout: "x\n", stderr: "" });
});

Deno.test("the prompt can come from standard input", async () => {
  await using queen = new StandInQueen();
  const ran = await runKeeper(["infer", "sum", "up:"], { home: queen.home, stdin: "one\ntwo\n" });
  assert.equal(ran.code, 0);
  assert.equal(queen.tasks[0].prompt, "sum up:\n\none\ntwo");
});

Deno.test("a worker that dies mid-stream leaves the text, a file, and one clear error (S39)", async () => {
  await using queen = new StandInQueen({
    onTask: async (out) => {
      await out.write(rbeeDialect.token("Once", 0) + rbeeDialect.token(" upon", 1));
      const crash = new RbeeError("WORKER_CRASHED", { details: { worker_id: "worker-1" } });
      await out.write(rbeeDialect.error(toErrorBody(crash)));
    },
  });
  const ran = await runKeeper(["infer", "-p", "x", "--max-tokens", "20"], queen);
  assert.equal(ran.code, 1);
  assert.equal(ran.stdout, "Once upon\n");
  const path = `${queen.home}/partial/rbee-partial-${taskId}.txt`;
  assert.match(ran.stderr, /Error: .*stream closed unexpectedly \(WORKER_CRASHED\)\n/);
  assert.ok(ran.stderr.includes(`\n\nPartial result saved to: ${path}\nTokens generated: 2 / 20\n`), ran.stderr);
  assert.equal(Deno.readTextFileSync(path), "Once upon");
});

Deno.test("a stream that ends without its end is CONNECTION_LOST, with the text saved", async () => {
  await using queen = new StandInQueen({ onTask: async (out) => await out.write(rbeeDialect.token("Once", 0)) });
  const ran = await runKeeper(["infer", "-p", "x", "--json"], queen);
  assert.equal(ran.code, 1);
  const { error } = JSON.parse(ran.stderr);
  assert.equal(error.code, "CONNECTION_LOST");
  assert.equal(Deno.readTextFileSync(error.details.partial_path), "Once");
  assert.equal(ran.stdout, "");
});

Deno.test("busy workers are told as they are waited for, then one error (S41)", async () => {
  const lines = ["1 second", "2 seconds", "4 seconds"].map((time) => `Worker is busy, retrying in ${time}…`);
  await using queen = new StandInQueen({
    onTask: async (out) => {
      for (const line of lines) await out.write(narration(line));
      const busy = new RbeeError("ALL_SLOTS_BUSY", { message: "Cannot start: still busy after 3 retries" });
      await out.write(rbeeDialect.error(toErrorBody(busy)));
    },
  });
  const ran = await runKeeper(["infer", "-p", "x"], queen);
  assert.equal(ran.code, 1);
  assert.equal(ran.stdout, "");
  assert.ok(ran.stderr.startsWith(lines.map((line) => `[queen-rbee] ${line}\n`).join("")), ran.stderr);
  assert.match(
    ran.stderr,
    /Error: .*still busy after 3 retries \(ALL_SLOTS_BUSY\)\n\nSuggestion: Wait for the current request/,
  );
});

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  Deno.test(`${signal} mid-stream closes the stream, cancels the task, says Canceled. and ends with 130 (S40)`, async () => {
    await using queen = new StandInQueen({
      onTask: async (out) => {
        await out.write(rbeeDialect.token("Once", 0));
        await forever(out.signal);
      },
    });
    const child = startKeeper(["infer", "-p", "x"], queen);
    const reader = child.stdout.getReader();
    assert.equal(new TextDecoder().decode((await reader.read()).value), "Once");
    child.kill(signal);
    assert.equal((await child.status).code, 130);
    assert.equal(await new Response(child.stderr).text(), "\nCanceled.\n");
    await reader.cancel();
    assert.deepEqual(queen.canceled, [taskId]);
    await until(() => queen.left === 1);
  });
}

Deno.test("Ctrl+C gets through while nobody reads our stdout", async () => {
  await using queen = new StandInQueen({
    onTask: async (out) => {
      for (let index = 0; index < 100; index++) await out.write(rbeeDialect.token("x".repeat(10_000), index));
      await forever(out.signal);
    },
  });
  const child = startKeeper(["infer", "-p", "x"], queen);
  await until(() => queen.tasks.length === 1);
  await new Promise((resolve) => setTimeout(resolve, 300));
  child.kill("SIGINT");
  assert.equal((await child.status).code, 130);
  await Promise.all([child.stdout.cancel(), child.stderr.cancel()]);
});

Deno.test("a reader that closes our stdout ends the command quietly, and the task", async () => {
  await using queen = new StandInQueen({
    onTask: async (out) => {
      for (let index = 0; !out.signal.aborted; index++) await out.write(rbeeDialect.token("word ", index));
    },
  });
  const child = startKeeper(["infer", "-q", "x"], queen);
  const reader = child.stdout.getReader();
  await reader.read();
  await reader.cancel();
  assert.equal((await child.status).code, 0);
  assert.equal(await new Response(child.stderr).text(), "");
  await until(() => queen.left === 1);
});

Deno.test("an ephemeral queen is held for as long as the command runs, and not ended by whom did not start her", async () => {
  let seen = 0;
  await using queen: StandInQueen = new StandInQueen({
    mode: "ephemeral",
    onTask: async (out, task) => {
      await until(() => queen.attached === 1);
      seen = queen.attached;
      await says("hi")(out, task);
    },
  });
  assert.equal((await runKeeper(["infer", "-p", "x"], queen)).stdout, "hi\n");
  assert.equal(seen, 1);
  await until(() => queen.attached === 0);
});

Deno.test("a queen of another version is named with both versions (S43)", async () => {
  await using queen = new StandInQueen({ version: "9.9.9" });
  const ran = await runKeeper(["infer", "-p", "x"], queen);
  assert.equal(ran.code, 1);
  assert.match(
    ran.stderr,
    /Version mismatch .*\n {4}rbee-keeper: v0\.1\.0\n {4}queen-rbee: v9\.9\.9\n\nPlease upgrade rbee-keeper to v9\.9\.9/,
  );
});

Deno.test("a wrong token names the host and the configuration (S44)", async () => {
  await using queen = new StandInQueen({ openNeedsToken: true });
  const ran = await runKeeper(["infer", "-p", "x"], { home: queen.home, env: { RBEE_QUEEN_TOKEN: "wrong" } });
  assert.equal(ran.code, 1);
  assert.match(ran.stderr, /Authentication failed \(INVALID_API_KEY\)\n {4}Host: 127\.0\.0\.1:\d+\n/);
  assert.match(ran.stderr, /config\.toml/);
});

Deno.test("flags, the configuration and the system message reach the task", () => {
  const checked = checkConfig({ infer: { max_tokens: 99, temperature: 0.1 } });
  assert.ok("config" in checked);
  const task = taskOf(
    "hi",
    { words: [], system: "be brief", stop: ["a"], topK: 5, wait: 300, seed: 3 },
    checked.config,
  );
  assert.deepEqual(task.messages, [{ role: "system", content: "be brief" }, { role: "user", content: "hi" }]);
  assert.deepEqual([task.max_tokens, task.temperature, task.top_k, task.wait_s, task.seed], [99, 0.1, 5, 300, 3]);
  assert.throws(() => taskOf("hi", { words: [], system: "x", raw: true }, checked.config), { code: "USAGE" });
});

Deno.test("the line of --stats tells tokens, speed and seed", () => {
  const text = statsText(endOf(20, { prompt_tokens: 9, prompt_tokens_cached: 4 }));
  assert.equal(
    text,
    "20 tokens, 66.7 tokens/s; prompt 9 tokens (4 cached), prefill 5 ms, decode 15 ms; seed 7; MAX_TOKENS",
  );
});
