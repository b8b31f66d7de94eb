import assert from "node:assert/strict";
import { fromRoot } from "../../build/files.ts";
import { buildCommands } from "../../keeper/commands.ts";
import { errorCodes } from "../../protocol/error_codes.ts";
import { hiveRoutes } from "../../protocol/hive_routes.ts";
import { queenRoutes } from "../../protocol/queen_routes.ts";
import { workerRoutes } from "../../protocol/worker_routes.ts";
import { inWorld } from "../support/flows.ts";
import { World } from "../support/world.ts";

const readme = Deno.readTextFileSync(fromRoot("README.md"));
const shellBlocks = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)].map((block) => block[1].trim());

/** The arguments of a README line as a shell would split them: quoted texts, no other shell syntax. */
function words(line: string): string[] {
  const code = line.replace(/\s+#.*$/, "");
  return [...code.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map((m) => m[1] ?? m[2] ?? m[3]);
}

const rbeeLines = shellBlocks.flatMap((block) => block.split("\n")).filter((line) => line.startsWith("./rbee "));

Deno.test("every ./rbee line of the README does what it says, in the README's order", () =>
  inWorld(async (world) => {
    assert.ok(rbeeLines.length >= 6, `only ${rbeeLines.length} lines were found`);
    for (const line of rbeeLines) {
      const [, ...args] = words(line);
      if (args.includes("--follow")) {
        const following = world.start("rbee", args);
        await following.sees(/\S/, { withinMs: 5_000 });
        following.signal("SIGINT");
        assert.equal((await following.ends(5_000)).code, 130, line);
        continue;
      }
      const { code, stderr, stdout } = await world.run("rbee", args);
      assert.equal(code, 0, `${line}\n${stderr}`);
      if (args[0] === "infer") assert.ok(stdout.trim().length > 20, line);
    }
    await world.nothingLeft(10_000);
  }, () => new World()));

Deno.test("the README's curl line is answered with the events that it describes", () =>
  inWorld(async (world) => {
    const line = shellBlocks.flatMap((block) => block.split("\n")).find((l) => l.startsWith("curl "));
    assert.ok(line, "the README has a curl line");
    assert.equal((await world.run("rbee", ["up"])).code, 0);
    const [, flag, url, , body] = words(line);
    assert.equal(flag, "-N");
    const answer = await fetch(new URL(new URL(url).pathname, world.queenUrl()), { method: "POST", body });
    const text = await answer.text();
    for (const said of ["event: started", "event: narration", '"token":', '"index":0', '"done":true', "data: [DONE]"]) {
      assert.ok(text.includes(said), `${said} in\n${text}`);
    }
    assert.equal((await world.run("rbee", ["down"])).code, 0);
  }, () => new World()));

Deno.test("codes, paths and commands that the README names exist", () => {
  for (const [, code] of readme.matchAll(/`([A-Z]+(?:_[A-Z]+)+)`/g)) {
    const known = Object.hasOwn(errorCodes, code) || /^(RBEE|NODE|HF|DENORT|RBEE_QUEEN)_|_PROXY$/.test(code);
    assert.ok(known, `${code} is no error code`);
  }
  const paths = [queenRoutes, hiveRoutes, workerRoutes].flatMap((routes) => Object.values(routes).map((r) => r.path));
  for (const [, path] of readme.matchAll(/(?:GET|POST|DELETE) (\/v[12]\/[^\s`]+)/g)) {
    assert.ok(paths.includes(path.replaceAll(/\{(\w+)\}/g, ":$1")), `${path} is no route`);
  }
  const commands = buildCommands(() => Promise.resolve()).commands.map((c) => c.name());
  for (const [, command] of readme.matchAll(/`rbee ([a-z]+)[ `]/g)) {
    assert.ok([...commands, "help"].includes(command), `rbee ${command} is no command`);
  }
});
