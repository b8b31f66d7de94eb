import assert from "node:assert/strict";
import { join } from "../../runtime/path.ts";
import { assertOneClearError, inWorld } from "../support/flows.ts";
import { type Executable, World } from "../support/world.ts";

const makeWorld = () => new World();

const badLines: [string, string[], RegExp][] = [
  ["an unknown flag", ["infer", "--prompt", "x", "--warmth", "2"], /--warmth/],
  ["an unknown command", ["inferr", "hello"], /inferr/],
  ["a number out of range", ["infer", "--prompt", "x", "--temperature", "7"], /temperature/],
  ["an empty prompt", ["infer", "--prompt", ""], /prompt/i],
  ["no prompt at all", ["infer"], /prompt/i],
];

for (const [what, args, says] of badLines) {
  Deno.test(`${what} is wrong usage: exit 2, one message, nothing started`, () =>
    inWorld(async (world) => {
      const finished = await world.run("rbee", args, { withinMs: 3_000 });
      assertOneClearError(finished, { exitCode: 2, says });
      assert.equal(finished.stdout, "");
      assert.deepEqual(world.leftovers(), []);
    }, makeWorld));
}

const badFiles: [string, string, RegExp][] = [
  ["an unknown key", "[hive]\nport = 9333\nidle_timeout = 3\n", /idle_timeout.*line 3|line 3.*idle_timeout/],
  ["an unknown table", "[quee]\nport = 9333\n", /quee.*line 1|line 1.*quee/],
  ["a wrong type", '[workers]\n\nslots = "many"\n', /slots.*line 3|line 3.*slots/],
  ["a port that is none", "[queen]\nport = 99999\n", /port.*line 2|line 2.*port/],
  ["a line that is no TOML", "[queen]\nport = = 3\n", /line 2/],
];

const readers: [Executable, string[]][] = [
  ["rbee", ["infer", "--prompt", "hello"]],
  ["queen-rbee", ["daemon"]],
  ["rbee-hive", ["daemon"]],
];

for (const [what, text, says] of badFiles) {
  Deno.test(`a configuration file with ${what} is refused by every program: key, file and line`, () =>
    inWorld(async (world) => {
      world.writeConfig(text);
      for (const [program, args] of readers) {
        const finished = await world.run(program, args, { withinMs: 5_000 });
        const { stderr } = finished;
        assert.equal(finished.code, 1, `${program}: ${stderr}`);
        assert.match(stderr, /CONFIG_INVALID/, program);
        assert.match(stderr, says, program);
        assert.ok(stderr.includes(world.configFile), `${program} names the file: ${stderr}`);
        assert.doesNotMatch(stderr, /^\s+at .*:\d+:\d+/m, program);
      }
      assert.deepEqual(world.leftovers(), []);
    }, makeWorld));
}

Deno.test("a home that cannot be written to is one clear message, by every program", () =>
  inWorld(async (world) => {
    const file = join(world.root, "file");
    Deno.writeTextFileSync(file, "");
    const env = { RBEE_HOME: join(file, "r") };
    assertOneClearError(await world.run("rbee", ["infer", "--prompt", "hello"], { env }), {
      code: "HOME_NOT_WRITABLE",
      says: /file\/r/,
    });
    for (const program of ["queen-rbee", "rbee-hive"] as const) {
      const { code, stderr } = await world.run(program, ["daemon"], { env, withinMs: 5_000 });
      assert.equal(code, 1, stderr);
      assert.match(stderr, /HOME_NOT_WRITABLE/);
    }
  }, makeWorld));
