import assert from "node:assert/strict";
import { tinyGguf } from "../../native/tiny.ts";
import { basename, join } from "../../runtime/path.ts";
import { clusterMissing } from "../support/cluster.ts";
import { HubServer } from "../support/hub_server.ts";
import { introduce } from "../support/hub_nodes.ts";
import { modelOf } from "../support/hub_world.ts";
import { onNodes } from "../support/nodes.ts";
import { send } from "../support/processes.ts";
import { splitTiny } from "../support/split_gguf.ts";

const repo = "acme/story-GGUF";
const splitRepo = "acme/tale-GGUF";
const ref = `hf:${repo}:Q4_K_M`;
const model = modelOf(20 * 1024 * 1024);
const missing = clusterMissing();

Deno.test({
  name: `a model that another machine has comes from there and not from the hub again${missing}`,
  ignore: missing !== "",
  fn: () =>
    onNodes(["one", "two"], async (nodes) => {
      using hub = new HubServer({ hostname: "0.0.0.0" });
      await hub.add(repo, { "story-Q4_K_M.gguf": model });
      const { world } = nodes;
      const split = await splitTiny(join(world.root, "split"), 3, "tale-Q8_0");
      await hub.add(splitRepo, Object.fromEntries(split.map((path) => [basename(path), path])));
      await introduce(nodes, hub, ["one", "two"]);
      const pull = async (name: string) => await world.run("rbee", ["models", "pull", ref, "--node", name]);
      const first = await pull("one");
      assert.match(first.stdout, /^✓ .* is on one: 20\.0 MB, downloaded\n$/, first.stderr);
      const second = await pull("two");
      assert.match(second.stdout, /^✓ .* is on two: 20\.0 MB, copied from another machine\n$/, second.stderr);
      assert.match(second.stderr, /📦 Copying hf:acme\/story-GGUF:Q4_K_M from one to two/);
      // The file once, and its header for each machine.
      assert.ok(hub.bytesSent() <= model.length * 1.05 + 2 * 1024 * 1024, `${hub.bytesSent()} bytes`);
      const { text } = await world.call({ who: "queen" }, "GET /metrics");
      assert.match(text, new RegExp(`^rbee_queen_model_bytes_copied_total ${model.length}$`, "m"));
      const list = await world.run("rbee", ["models", "list", "--json"]);
      const rows = JSON.parse(list.stdout).models as { node: string; ref: string; digest: string }[];
      const ours = rows.filter(({ ref: one }) => one === ref);
      assert.deepEqual(ours.map(({ node }) => node).sort(), ["one", "two"], list.stdout);
      assert.equal(new Set(ours.map(({ digest }) => digest)).size, 1);
      const verified = await world.run("rbee", ["models", "verify", ref, "--node", "two"]);
      assert.equal(verified.code, 0, verified.stderr);
      const removed = await world.run("rbee", ["models", "rm", ref, "--node", "one"]);
      assert.match(removed.stdout, /removed from one/, removed.stderr);

      // The same for whoever wants an answer from a machine that has it not.
      const sent = hub.bytesSent("story");
      const args = ["infer", "--node", "one", "--model", ref, "--prompt", "hello", "--max-tokens", "4"];
      const answer = await world.run("rbee", args, { withinMs: 30_000 });
      assert.equal(answer.code, 0, answer.stderr);
      assert.match(answer.stderr, /📦 Copying hf:acme\/story-GGUF:Q4_K_M from two to one/);
      assert.ok(hub.bytesSent("story") - sent < 2 * 1024 * 1024, "of the hub no more than the header was asked for");

      const parts = ["one", "two"].map((name) => ["models", "pull", `hf:${splitRepo}`, "--node", name]);
      assert.equal((await world.run("rbee", parts[0])).code, 0);
      const copied = await world.run("rbee", parts[1]);
      assert.match(copied.stdout, /on two: .*, copied from another machine\n$/, copied.stderr);
      await nodes.down();
    }),
});

Deno.test({
  name: `a machine that goes while a model is copied from it costs no more than the copy${missing}`,
  ignore: missing !== "",
  fn: () =>
    onNodes(["one", "two"], async (nodes) => {
      using hub = new HubServer({ hostname: "0.0.0.0" });
      const { world } = nodes;
      const large = join(world.root, "large.gguf");
      Deno.copyFileSync(tinyGguf(), large);
      Deno.truncateSync(large, 300 * 1024 * 1024);
      await hub.add(repo, { "story-Q4_K_M.gguf": large });
      await introduce(nodes, hub, ["one", "two"]);
      const pull = ["models", "pull", ref, "--node"];
      assert.equal((await world.run("rbee", [...pull, "one"], { withinMs: 40_000 })).code, 0);
      const program = world.start("rbee", [...pull, "two"]);
      await program.sees(/Downloading: [1-9]\d?%/, { withinMs: 20_000 });
      assert.ok(send(nodes.node("one").one("rbee-hive").pid, "SIGKILL"));
      const { code, stderr } = await program.ends(60_000);
      assert.equal(code, 0, stderr);
      const verified = await world.run("rbee", ["models", "verify", ref, "--node", "two"], { withinMs: 40_000 });
      assert.equal(verified.code, 0, verified.stderr);
      await nodes.down();
    }),
});

Deno.test({
  name: `two machines that fetch the same model at once draw it from the hub once${missing}`,
  ignore: missing !== "",
  sanitizeOps: false, // a hub that sends slowly may wait with its next piece at the end
  sanitizeResources: false,
  fn: () =>
    onNodes(["one", "two"], async (nodes) => {
      using hub = new HubServer({ hostname: "0.0.0.0" });
      await hub.add(repo, { "story-Q4_K_M.gguf": model });
      const { world } = nodes;
      await introduce(nodes, hub, ["one", "two"]);
      hub.faults.add({ on: "bytes", bytesPerSecond: 2 * 1024 * 1024 });
      const pull = (name: string) => world.start("rbee", ["models", "pull", ref, "--node", name]);
      const first = pull("one");
      await first.sees(/Downloading: [1-9]\d?%/, { withinMs: 20_000 });
      const second = pull("two");
      await second.sees(/one is fetching .* just now: two gets it from there/, { withinMs: 10_000 });
      assert.match((await first.ends(20_000)).stdout, /on one: 20\.0 MB, downloaded/);
      assert.match((await second.ends(20_000)).stdout, /on two: 20\.0 MB, copied from another machine/);
      assert.ok(hub.bytesSent() <= model.length * 1.05 + 2 * 1024 * 1024, `${hub.bytesSent()} bytes`);
      await nodes.down();
    }),
});
