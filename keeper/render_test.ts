import assert from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { type Output, OutputClosed, Render } from "./render.ts";

/** An output that keeps what it is given, `bytesMax` at a time, as a full pipe does. */
class Kept implements Output {
  text = "";
  writes = 0;
  readonly #options: { terminal?: boolean; bytesMax?: number; fails?: Error };
  constructor(options: { terminal?: boolean; bytesMax?: number; fails?: Error } = {}) {
    this.#options = options;
  }
  isTerminal(): boolean {
    return this.#options.terminal ?? false;
  }
  write(bytes: Uint8Array): Promise<number> {
    if (this.#options.fails) return Promise.reject(this.#options.fails);
    return Promise.resolve(this.writeSync(bytes));
  }
  writeSync(bytes: Uint8Array): number {
    const part = bytes.subarray(0, this.#options.bytesMax);
    this.text += new TextDecoder().decode(part);
    this.writes++;
    return part.length;
  }
}

Deno.test("text is written whole, however little the system takes at once", async () => {
  const stdout = new Kept({ bytesMax: 3 });
  const render = new Render({ stdout, stderr: new Kept() });
  await render.text("abcdefgh");
  assert.equal(stdout.text, "abcdefgh");
  assert.equal(stdout.writes, 3);
  assert.ok(render.isMidLine);
  await render.line("");
  assert.ok(!render.isMidLine);
});

Deno.test("a closed stdout and a full disk are told apart", async () => {
  const write = (fails: Error) => new Render({ stdout: new Kept({ fails }), stderr: new Kept() }).text("x");
  await assert.rejects(write(new Deno.errors.BrokenPipe("Broken pipe (os error 32)")), OutputClosed);
  await assert.rejects(write(new Error("No space left on device (os error 28)")), { code: "DISK_FULL" });
});

Deno.test("narration goes to stderr, and nowhere with --quiet or --json", () => {
  for (
    const [options, text] of [[{}, "[queen-rbee] 🐝 Hello\n"], [{ quiet: true }, ""], [{ json: true }, ""]] as const
  ) {
    const stderr = new Kept();
    const render = new Render({ ...options, stdout: new Kept(), stderr });
    render.note("queen-rbee", "🐝 Hello");
    assert.equal(stderr.text, text);
  }
});

Deno.test("an error is coloured on a terminal only, and never with NO_COLOR or TERM=dumb", () => {
  const shown = (terminal: boolean, variables: Record<string, string>) => {
    const stderr = new Kept({ terminal });
    new Render({ stdout: new Kept(), stderr, environment: (name) => variables[name] }).error(
      new RbeeError("QUEUE_FULL"),
    );
    return stderr.text;
  };
  assert.ok(shown(true, {}).includes("\x1b[31m"));
  for (const text of [shown(false, {}), shown(true, { NO_COLOR: "1" }), shown(true, { TERM: "dumb" })]) {
    assert.match(text, /^\[rbee-keeper\] ❌ Error: .* \(QUEUE_FULL\)\n\nSuggestion: /);
  }
});

Deno.test("with --json an error is its body with its causes", () => {
  const stderr = new Kept();
  const error = new RbeeError("WORKER_START_FAILED", { cause: new RbeeError("PORT_TAKEN") });
  new Render({ json: true, stdout: new Kept(), stderr }).error(error);
  const body = JSON.parse(stderr.text);
  assert.equal(body.error.code, "WORKER_START_FAILED");
  assert.equal(body.error.cause.code, "PORT_TAKEN");
});

Deno.test("Canceled. is said once, on a line of its own", () => {
  const stderr = new Kept();
  const render = new Render({ stdout: new Kept(), stderr });
  render.canceled();
  render.canceled();
  assert.equal(stderr.text, "\nCanceled.\n");
});

Deno.test("narration during a bar takes the bar away and brings it back", () => {
  const stderr = new Kept({ terminal: true });
  const render = new Render({ stdout: new Kept(), stderr, environment: () => undefined });
  render.progress("llm-worker-rbee", { stage: "loading_to_vram", layers_loaded: 16, layers_total: 32, vram_mb: 1 });
  render.note("queen-rbee", "hello");
  render.endProgress();
  const bar = "\r\x1b[2K[llm-worker-rbee] ⏳ Loading [██████████----------] 50% (16/32 layers)";
  assert.equal(stderr.text, `[queen-rbee] hello\n${bar}\n`);
});

Deno.test("a load whose last step was never told is shown as done when the text begins", async () => {
  const stderr = new Kept();
  const render = new Render({ stdout: new Kept(), stderr });
  render.progress("llm-worker-rbee", { stage: "loading_to_vram", layers_loaded: 0, layers_total: 5, vram_mb: 1 });
  await render.text("Once");
  assert.equal(
    stderr.text,
    "[llm-worker-rbee] ⏳ Loading: 0% (0/5 layers)\n[llm-worker-rbee] ⏳ Loading: 100% (5/5 layers)\n",
  );
});
