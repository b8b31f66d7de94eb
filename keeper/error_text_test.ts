import assert from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { compareVersions, errorLines, errorText } from "./error_text.ts";

const lines = (error: RbeeError, context = {}) => errorLines(errorText(error, context));

Deno.test("an error is its message with its code, a blank line and a suggestion", () => {
  const error = new RbeeError("ALL_SLOTS_BUSY", {
    message: "Cannot start: still busy after 3 retries",
    hint: "Wait for the current request or use another node",
  });
  assert.deepEqual(lines(error), [
    "Cannot start: still busy after 3 retries (ALL_SLOTS_BUSY)",
    "",
    "Suggestion: Wait for the current request or use another node",
  ]);
});

Deno.test("short memory names the node and both numbers (S38)", () => {
  const error = new RbeeError("VRAM_EXHAUSTED", { details: { required: 6000, available: 4000 } });
  assert.deepEqual(lines(error, { node: "workstation" }), [
    "Insufficient VRAM on workstation (VRAM_EXHAUSTED)",
    "    Required: 6000 MB",
    "    Available: 4000 MB",
    "",
    "Suggestion: Try a smaller quantized model, Q4 instead of Q8",
  ]);
});

Deno.test("a cut stream says where the text is and how far it came (S39)", () => {
  const error = new RbeeError("WORKER_CRASHED", {
    details: { tokens: 12, max_tokens: 20, partial_path: "/home/me/.rbee/partial/rbee-partial-abc.txt" },
  });
  const text = lines(error);
  assert.match(text[0], /stream closed unexpectedly \(WORKER_CRASHED\)/);
  assert.deepEqual(text.slice(1, 4), [
    "",
    "Partial result saved to: /home/me/.rbee/partial/rbee-partial-abc.txt",
    "Tokens generated: 12 / 20",
  ]);
});

Deno.test("a load that takes too long says where it is stuck (S42)", () => {
  const error = new RbeeError("LOADING_TIMEOUT", {
    details: { timeout_s: 300, layers_loaded: 28, layers_total: 32, worker_id: "worker-abc123", node: "local" },
  });
  assert.deepEqual(lines(error), [
    "Model loading timeout after 5 minutes (LOADING_TIMEOUT)",
    "    Worker state: loading (stuck at 28/32 layers)",
    "",
    "Suggestion: Check worker logs on local: rbee logs --worker worker-abc123",
  ]);
});

Deno.test("two versions are named, and the older program is the one to upgrade (S43)", () => {
  const error = new RbeeError("VERSION_MISMATCH", { details: { "rbee-keeper": "0.1.0", "queen-rbee": "0.2.0" } });
  const text = lines(error);
  assert.deepEqual(text.slice(0, 5), [
    "Version mismatch (VERSION_MISMATCH)",
    "    rbee-keeper: v0.1.0",
    "    queen-rbee: v0.2.0",
    "",
    "Please upgrade rbee-keeper to v0.2.0, in its checkout:",
  ]);
  assert.match(text[5], /^ {4}git checkout v0\.2\.0 && /);
  const other = lines(
    new RbeeError("VERSION_MISMATCH", { details: { "rbee-keeper": "0.10.0", "queen-rbee": "0.9.0" } }),
  );
  assert.match(other.join("\n"), /upgrade queen-rbee to v0\.10\.0[\s\S]*rbee down/);
});

Deno.test("a refused token names the host and the configuration file (S44)", () => {
  const error = new RbeeError("INVALID_API_KEY", { details: { address: "127.0.0.1:8080" } });
  const text = lines(error, { configFile: "/home/me/.config/rbee/config.toml" });
  assert.equal(text[0], "Authentication failed (INVALID_API_KEY)");
  assert.equal(text[1], "    Host: 127.0.0.1:8080");
  assert.ok(text.includes("    /home/me/.config/rbee/config.toml"));
});

Deno.test("a hive of another version is brought to ours, or we to its, whichever is older (S13, S43)", () => {
  const details = { "rbee-keeper": "0.2.0", "rbee-hive": "0.1.0", node: "workstation" };
  assert.deepEqual(lines(new RbeeError("VERSION_MISMATCH", { details })), [
    "Version mismatch (VERSION_MISMATCH)",
    "    rbee-keeper: v0.2.0",
    "    rbee-hive: v0.1.0",
    "",
    "Please bring workstation to v0.2.0:",
    "    rbee setup install --node workstation",
  ]);
  const running = lines(new RbeeError("VERSION_MISMATCH", { details: { ...details, hive: "running" } }));
  assert.deepEqual(running.slice(-2), [
    "and end the one that runs there:",
    "    rbee hive stop --node workstation",
  ]);
  const newer = lines(new RbeeError("VERSION_MISMATCH", { details: { ...details, "rbee-hive": "0.3.0" } }));
  assert.deepEqual(newer.slice(4, 6), [
    "Please upgrade rbee-keeper on this machine to v0.3.0, in its checkout:",
    "    git checkout v0.3.0 && npx -y deno@2.7.11 task compile",
  ]);
});

Deno.test("a hive that is called directly is upgraded by its operator (S43)", () => {
  const details = { "rbee-keeper": "0.2.0", "rbee-hive": "0.1.0", node: "fast", address: "192.168.1.20:9200" };
  assert.deepEqual(lines(new RbeeError("VERSION_MISMATCH", { details })).slice(4), [
    "Please upgrade rbee-hive at 192.168.1.20:9200 to v0.2.0, in its checkout there, and start it again:",
    "    git checkout v0.2.0 && npx -y deno@2.7.11 task compile",
  ]);
});

Deno.test("a hive that refuses its queen's token names its machine and the configuration file (S44)", () => {
  const details = { node: "workstation", address: "workstation.home.arpa" };
  const error = new RbeeError("INVALID_API_KEY", { message: "Cannot use the hive", details, hint: "Write the token" });
  assert.deepEqual(lines(error, { configFile: "/home/me/.config/rbee/config.toml" }), [
    "Authentication failed (INVALID_API_KEY)",
    "    Host: workstation.home.arpa",
    "    Cannot use the hive",
    "",
    "Suggestion: Write the token",
    "Check the token in your configuration:",
    "    /home/me/.config/rbee/config.toml",
  ]);
});

Deno.test("every bad field is told when there are several", () => {
  const errors = [{ field: "top_p", message: "top_p: too big" }, { field: "seed", message: "seed: not a number" }];
  const text = lines(new RbeeError("INVALID_REQUEST", { message: "Cannot accept the request", details: { errors } }));
  assert.deepEqual(text.slice(1, 3), ["    top_p: too big", "    seed: not a number"]);
});

Deno.test("one bad field that the message does not tell is told, and what there is instead", () => {
  const errors = [{ field: "top_p", message: "top_p: too big" }];
  const one = (message: string) => lines(new RbeeError("INVALID_REQUEST", { message, details: { errors } }));
  assert.equal(one("Cannot accept the request")[1], "    top_p: too big");
  assert.equal(one("Cannot accept the request: top_p: too big")[1], "");
  const backends = (message: string) =>
    lines(new RbeeError("BACKEND_UNAVAILABLE", { message, details: { available: ["cpu", "cuda"] } }));
  assert.equal(backends("Cannot install metal on box")[1], "    Available: cpu, cuda");
  assert.equal(backends("Cannot use metal: this machine has cpu, cuda")[1], "");
});

Deno.test("versions are compared by number, not by text", () => {
  assert.ok(compareVersions("0.9.0", "0.10.0") < 0);
  assert.ok(compareVersions("1.0.0", "0.10.0") > 0);
  assert.equal(compareVersions("0.1.0", "0.1.0-rc1"), 0);
});

Deno.test("a task that no machine can take reads each machine's reason once", () => {
  const nodes = [
    { node: "one", code: "VRAM_EXHAUSTED", reason: "memory: need 6 MB, have 4 MB" },
    { node: "two", code: "BACKEND_UNAVAILABLE", reason: "it has no cuda, only cpu" },
  ];
  const message = "Cannot place the task: no node can take it (one: memory: need 6 MB, have 4 MB; two: it has no cuda)";
  assert.deepEqual(lines(new RbeeError("NO_NODE", { message, details: { nodes }, hint: "Use another one" })), [
    "Cannot place the task: no node can take it (NO_NODE)",
    "    one: memory: need 6 MB, have 4 MB",
    "    two: it has no cuda, only cpu",
    "",
    "Suggestion: Use another one",
  ]);
});
