import assert from "node:assert/strict";
import { assertOneClearError, inWorld, nextInferWorks } from "../support/flows.ts";
import { executables, World } from "../support/world.ts";

/** Listens on a port of this world, as a stranger who came first, until the test is over. */
function taken(port: number): Disposable {
  const listener = Deno.listen({ hostname: "127.0.0.1", port });
  return { [Symbol.dispose]: () => listener.close() };
}

Deno.test("a daemon whose port is taken says which port, who asked for it, and the flag that changes it", () =>
  inWorld(async (world) => {
    const env = { PATH: `${executables}:/usr/bin:/bin` };
    for (const [program, port] of [["queen-rbee", world.ports.queen], ["rbee-hive", world.ports.hive]] as const) {
      using _stranger = taken(port);
      const { code, stderr } = await world.run(program, ["daemon"], { env, withinMs: 8_000 });
      assert.equal(code, 1, stderr);
      assert.match(stderr, /PORT_TAKEN/);
      assert.ok(stderr.includes(String(port)) && stderr.includes(program) && stderr.includes("--port"), stderr);
    }
    assert.deepEqual(world.leftovers(), []);
  }, () => new World()));

Deno.test("a queen that cannot find rbee-hive in PATH exits 1 and prints both lines that work", () =>
  inWorld(async (world) => {
    const { code, stderr } = await world.run("queen-rbee", ["daemon"], {
      env: { PATH: "/usr/bin:/bin" },
      withinMs: 8_000,
    });
    assert.equal(code, 1, stderr);
    assert.ok(stderr.includes("rbee up") && /PATH=\S+ queen-rbee daemon/.test(stderr), stderr);
    assert.deepEqual(world.leftovers(), []);
  }, () => new World()));

Deno.test("`up` on a taken port is one clear message", () =>
  inWorld(async (world) => {
    using _stranger = taken(world.ports.queen);
    const finished = await world.run("rbee", ["up"]);
    assertOneClearError(finished, { says: new RegExp(`\\b${world.ports.queen}\\b`) });
    assert.match(finished.stderr, /PORT_TAKEN/);
    assert.deepEqual(world.processes(), []);
  }, () => new World()));

Deno.test("an ephemeral queen and her hive avoid ports that are taken", () =>
  inWorld(async (world) => {
    using _queens = taken(world.ports.queen);
    using _hives = taken(world.ports.hive);
    using _workers = taken(world.ports.workerStart);
    await nextInferWorks(world);
    assert.deepEqual(world.processes(), []);
  }, () => new World()));
