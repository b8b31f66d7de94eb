/** Steps about configuration files. */
import assert from "node:assert/strict";
import { join } from "../../../runtime/path.ts";
import { withEtc } from "../../support/mounts.ts";
import { Program } from "../../support/program.ts";
import { executablePath } from "../../support/world.ts";
import { type Scenario, suite } from "./scenario.ts";

/** Where a path of a scenario lies in its world: `/etc` is a folder of it, and so is `/tmp`. */
function inWorld(scenario: Scenario, path: string): string {
  return join(scenario.world.root, path);
}

const withDefault = (tokens: number) => `[infer]\nmax_tokens = ${tokens}\n`;

async function show(scenario: Scenario, args: string[]): Promise<string> {
  const { world } = scenario;
  const chosen = scenario.noted.get("RBEE_CONFIG");
  const program = new Program({
    ...withEtc(inWorld(scenario, "/etc"), executablePath("rbee"), args),
    cwd: world.root,
    env: world.environment(typeof chosen === "string" ? { RBEE_CONFIG: chosen } : {}),
  });
  world.programs.push(program);
  const finished = await program.ends(5_000);
  assert.equal(finished.code, 0, finished.stderr);
  return finished.stdout;
}

suite.step("a configuration file at {string} whose default is {int} tokens", function (path: string, tokens: number) {
  this.world.writeConfig(withDefault(tokens), inWorld(this, path));
});

suite.step("a configuration file of the user whose default is {int} tokens", function (tokens: number) {
  this.world.writeConfig(withDefault(tokens));
});

suite.step("RBEE_CONFIG names {string}", function (path: string) {
  this.noted.set("RBEE_CONFIG", inWorld(this, path));
});

suite.step("RBEE_CONFIG names nothing", function () {
  this.noted.delete("RBEE_CONFIG");
});

suite.step("the user's file is removed", function () {
  Deno.removeSync(this.world.configFile);
});

suite.step("{string} is loaded, and the default is {int} tokens", async function (path: string, tokens: number) {
  const real = path.startsWith("/etc/") ? path : inWorld(this, path);
  assert.equal((await show(this, ["config", "path"])).trim(), real);
  assert.match(await show(this, ["config", "show"]), new RegExp(`max_tokens\\W+${tokens}\\b`));
});

suite.step("the user's file is loaded, and the default is {int} tokens", async function (tokens: number) {
  assert.equal((await show(this, ["config", "path"])).trim(), this.world.configFile);
  assert.match(await show(this, ["config", "show"]), new RegExp(`max_tokens\\W+${tokens}\\b`));
});
