import assert from "node:assert/strict";
import type { Plan } from "../../protocol/plan.ts";
import { HubWorld, modelOf } from "../support/hub_world.ts";

const repo = "acme/story-GGUF";
const model = `hf:${repo}:Q4_K_M`;
const bytes = modelOf(4 * 1024 * 1024, 1);

async function inWorld(test: (at: HubWorld) => Promise<void>): Promise<void> {
  await using at = new HubWorld();
  await at.hub.add(repo, { "story-Q4_K_M.gguf": bytes, "story-Q8_0.gguf": bytes });
  try {
    await test(at);
  } catch (error) {
    throw new Error(`${(error as Error).stack}\n${at.world.report()}`, { cause: error });
  }
}

const plan = async (at: HubWorld, ...args: string[]) => {
  const { code, stdout, stderr } = await at.world.run("rbee", ["plan", "--json", ...args], { withinMs: 40_000 });
  return { code, stderr, plan: JSON.parse(stdout) as Plan };
};

Deno.test("a plan tells what a task would do, in numbers, and does nothing; afterwards the task does that", () =>
  inWorld(async (at) => {
    const before = await plan(at, "--model", model);
    assert.equal(before.code, 0, before.stderr);
    const [row] = before.plan.rows;
    assert.deepEqual([before.plan.chosen, row.node, row.would], ["local", "local", "spawn"]);
    assert.deepEqual([row.model_on_disk, row.download_bytes, row.backend], [false, bytes.length, "cpu"]);
    assert.ok(row.required_mb! > 4 && row.available_mb! > row.required_mb!, JSON.stringify(row));
    assert.ok(row.reasons.length > 0 && row.expected_first_token_s! > 0 && row.score! < 0, JSON.stringify(row));
    assert.equal(before.plan.model?.ref, model);
    assert.ok(before.plan.model!.shape!.layers > 0);
    assert.ok(at.hub.bytesSent("Q4_K_M") < bytes.length, "only the header was read");
    assert.deepEqual(at.files(), []);
    await at.world.nothingLeft(10_000);

    const infer = ["infer", "--model", model, "--prompt", "hello", "--max-tokens", "4", "--explain"];
    const ran = await at.world.run("rbee", infer, { withinMs: 40_000 });
    assert.equal(ran.code, 0, ran.stderr);
    for (
      const line of [
        /🧭 The hive on local is started: /,
        /🧭 The model is looked up on local: /,
        /🧭 The model goes to local: cpu: needs \d+ MB, \d+ MB are free; .*fetched there first: 4 MB from the hub/,
        /🧭 A worker is started on local: cpu: needs \d+ MB, \d+ MB are free/,
        /🧭 It goes to worker-\w+: /,
      ]
    ) assert.match(ran.stderr, line);
    assert.equal(ran.stderr.match(/🧭/g)?.length, 5, ran.stderr);
    assert.ok(at.files().some((file) => file.endsWith("story-Q4_K_M.gguf")), at.files().join());

    const after = await plan(at, "--model", model);
    assert.deepEqual([after.plan.rows[0].model_on_disk, after.plan.rows[0].download_bytes], [true, 0]);
    await at.world.nothingLeft(10_000);
  }));

Deno.test("a plan of a worker that is there names it; a person reads a table and why", () =>
  inWorld(async (at) => {
    await at.world.up();
    const started = await at.world.run("rbee", ["workers", "start", "--model", "builtin:tiny"]);
    assert.equal(started.code, 0, started.stderr);
    const { code, stdout } = await at.world.run("rbee", ["plan"]);
    assert.equal(code, 0);
    assert.match(
      stdout,
      /^builtin:tiny: 3 MB, Q8_0\n\nNODE +WOULD +ON +NEEDS +FREE +DOWNLOAD +TOKENS\/S +FIRST TOKEN\nlocal \* +reuse +cpu:0 /,
    );
    assert.match(stdout, /✓ local: worker-\w+ holds the model and has a free slot\n/);
    await at.world.down();
  }));

Deno.test("a plan that would not work fails as the task would, and tells each machine's reason", () =>
  inWorld(async (at) => {
    await at.world.up();
    const wrong = async (...args: string[]) => {
      const { code, stdout, stderr } = await at.world.run("rbee", ["plan", ...args], { withinMs: 40_000 });
      assert.equal(code, 1, stdout);
      return stdout + stderr;
    };
    assert.match(await wrong("--backend", "cuda"), /✗ local: it has no cuda, only cpu \(BACKEND_UNAVAILABLE\)/);
    const ambiguous = await wrong("--model", `hf:${repo}`);
    assert.match(ambiguous, /MODEL_AMBIGUOUS/);
    assert.match(ambiguous, /Q4_K_M .*MB/, "what there is, with sizes");
    assert.match(await wrong("--model", "hf:acme/none:Q4_K_M"), /MODEL_NOT_FOUND/);
    assert.match(await wrong("--node", "nowhere"), /NODE_NOT_FOUND/);
    const { code, plan: refused } = await plan(at, "--model", `hf:${repo}`);
    assert.deepEqual([code, refused.chosen, refused.model_error?.code], [1, null, "MODEL_AMBIGUOUS"]);
    await at.world.down();
  }));
