import assert from "node:assert/strict";
import { StandInQueen } from "../../keeper/testdata/stand_in_queen.ts";
import { RbeeError, toErrorBody } from "../../protocol/error.ts";
import { doneText, encodeJsonEvent } from "../../protocol/sse.ts";
import { environment } from "../../runtime/environment.ts";
import { dirname, join } from "../../runtime/path.ts";
import { PLATFORM } from "../../runtime/version.ts";
import { newTemporaryFolder, removeFolder } from "../support/temporary.ts";
import { executables } from "../support/world.ts";

/** A checkout whose compile task only notes how it was called, with the real keeper in its `dist`. */
class Checkout implements Disposable {
  readonly root: string = newTemporaryFolder();
  readonly keeper: string = join(this.root, "dist", PLATFORM, "rbee-keeper");

  constructor(compile: string) {
    for (const folder of [dirname(this.keeper), join(this.root, "build")]) Deno.mkdirSync(folder, { recursive: true });
    Deno.writeTextFileSync(
      join(this.root, "deno.json"),
      JSON.stringify({ tasks: { compile: "deno run -A build/compile.ts" } }),
    );
    Deno.writeTextFileSync(join(this.root, "build/compile.ts"), compile);
    Deno.copyFileSync(join(executables, "rbee-keeper"), this.keeper);
  }

  [Symbol.dispose](): void {
    removeFolder(this.root);
  }
}

const result = { node_name: "pi", version: "0.1.0", platform: "linux-x64", backend: "cuda", files_sent: 3 };

/** A queen that misses a node's worker until `isThere` says that it was made. */
function queenWithout(backend: string, isThere: () => boolean): StandInQueen {
  return new StandInQueen({
    onInstall: async (out) => {
      const hint = `Make it in the checkout: deno task compile --backend ${backend}`;
      const error = new RbeeError("EXECUTABLES_NOT_FOUND", { message: "Cannot: none", details: { backend }, hint });
      await out.write(encodeJsonEvent(isThere() ? result : toErrorBody(error)) + doneText);
    },
  });
}

async function setupInstall(keeper: string, queen: StandInQueen) {
  const path = `${dirname(Deno.execPath())}:${environment("PATH")}`;
  const { code, stdout, stderr } = await new Deno.Command(keeper, {
    args: ["setup", "install", "--node", "pi"],
    clearEnv: true,
    env: { PATH: path, HOME: queen.home, RBEE_HOME: queen.home },
  }).output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

Deno.test("a keeper with a checkout makes the worker that a node needs, and installs again", async () => {
  using checkout = new Checkout('console.error("made " + Deno.args.join(" ")); Deno.writeTextFileSync("made", "");');
  await using queen = queenWithout("cuda", () => [...Deno.readDirSync(checkout.root)].some((e) => e.name === "made"));
  const ran = await setupInstall(checkout.keeper, queen);
  assert.equal(ran.code, 0, ran.stderr);
  assert.equal(queen.installs.length, 2);
  assert.match(ran.stderr, /🔨 deno task compile --backend cuda in .*\n(.*\n)*.*made --backend cuda\n/);
});

Deno.test("what the compiler says last is the error when it fails", async () => {
  using checkout = new Checkout('console.error("Cannot add backend cuda: no packs"); Deno.exit(1);');
  await using queen = queenWithout("cuda", () => false);
  const ran = await setupInstall(checkout.keeper, queen);
  assert.equal(ran.code, 1);
  assert.match(ran.stderr, /Cannot make the executables: Cannot add backend cuda: no packs \(EXECUTABLES_NOT_FOUND\)/);
  assert.match(ran.stderr, /Suggestion: Type it yourself and see: cd .* && deno task compile --backend cuda\n/);
  assert.equal(queen.installs.length, 1);
});

Deno.test("a keeper without a checkout passes on the line to type", async () => {
  const folder = newTemporaryFolder();
  try {
    Deno.copyFileSync(join(executables, "rbee-keeper"), join(folder, "rbee-keeper"));
    await using queen = queenWithout("vulkan", () => false);
    const ran = await setupInstall(join(folder, "rbee-keeper"), queen);
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /Suggestion: Make it in the checkout: deno task compile --backend vulkan\n/);
    assert.equal(queen.installs.length, 1);
  } finally {
    removeFolder(folder);
  }
});
