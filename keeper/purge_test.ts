import assert from "node:assert/strict";
import { outermost } from "./purge.ts";
import { runKeeper } from "./testdata/run_keeper.ts";

Deno.test("a path inside another one is not named", () => {
  assert.deepEqual(outermost(["/c.toml", "/r", "/r/models", "/r2/models"]), ["/c.toml", "/r", "/r2/models"]);
});

Deno.test("with RBEE_HOME, the models go with the data: the line that uninstall prints can be typed", async () => {
  const home = Deno.makeTempDirSync({ prefix: "rbee-keeper-" });
  try {
    const data = `${home}/data`;
    Deno.mkdirSync(`${data}/models`, { recursive: true });
    const ran = await runKeeper(["uninstall"], { home, env: { RBEE_HOME: data } });
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stdout, new RegExp(`^ {2}rm -r ${data}$`, "m"));
  } finally {
    Deno.removeSync(home, { recursive: true });
  }
});
