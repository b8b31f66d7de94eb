import assert from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { loadConfig } from "./config.ts";
import { type Paths, paths } from "./paths.ts";

function withFiles(files: Record<string, string>, run: (p: Paths, folder: string) => void): void {
  const folder = Deno.makeTempDirSync();
  try {
    for (const [name, text] of Object.entries(files)) Deno.writeTextFileSync(`${folder}/${name}`, text);
    const all = paths((name) => ({ HOME: folder } as Record<string, string>)[name]);
    run({ ...all, configFiles: [`${folder}/user.toml`, `${folder}/system.toml`] }, folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

const messageOf = (run: () => void): string => {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof RbeeError && error.code === "CONFIG_INVALID", String(error));
    return error.message;
  }
  assert.fail("nothing was refused");
};

Deno.test("without a file every key has its default, and the result is frozen", () => {
  withFiles({}, (p) => {
    const { config, file } = loadConfig(p);
    assert.equal(file, undefined);
    assert.equal(config.queen.port, 8080);
    assert.equal(config.hive.port, 9200);
    assert.equal(config.infer.model, "builtin:tiny");
    assert.throws(() => (config.queen as { port: number }).port = 1, TypeError);
  });
});

Deno.test("the user's file comes before the system's, the environment before both, a flag before all", () => {
  withFiles(
    { "user.toml": "[queen]\nport = 8100\n[hive]\nport = 9300", "system.toml": "[queen]\nport = 8200" },
    (p) => {
      assert.equal(loadConfig(p).config.queen.port, 8100);
      Deno.env.set("RBEE_QUEEN_PORT", "8300");
      try {
        assert.equal(loadConfig(p).config.queen.port, 8300);
        assert.equal(loadConfig(p, { queen: { port: 8400 } }).config.queen.port, 8400);
        assert.equal(loadConfig(p, { queen: { port: undefined } }).config.hive.port, 9300);
      } finally {
        Deno.env.delete("RBEE_QUEEN_PORT");
      }
      Deno.removeSync(p.configFiles[0]);
      assert.equal(loadConfig(p).config.queen.port, 8200);
    },
  );
});

Deno.test("what is wrong is named with its key, its file and its line", () => {
  const cases: [string, RegExp][] = [
    ["[queen]\nport = 8080\nprot = 1\n", /\[queen\] prot in .*user\.toml line 3: this key is unknown/],
    ['\n[queen]\nport = "many"\n', /\[queen\] port in .*user\.toml line 3: expected number/],
    ["[queeen]\nport = 1\n", /\[queeen\] in .*user\.toml line 1: this table is unknown/],
    ["[hive]\nport = 80\n", /\[hive\] port in .*line 2/],
    ["[workers]\nport_start = 9000\nport_end = 8500\n", /port_start must not be above port_end/],
    ["[queen\nport = 1\n", /user\.toml line 1/],
    ["queen = 5\n", /\[queen\] in .*line 1/],
    ["[queen]\nport = 70000\n", /\[queen\] port in .*user\.toml line 2/],
    ["[models.aliases]\nbig = 5\n", /\[models\] aliases\.big in .*line/],
  ];
  for (const [text, expected] of cases) {
    withFiles(
      { "user.toml": text },
      (p) => assert.match(messageOf(() => loadConfig(p, { queen: { port: undefined } })), expected),
    );
  }
});

Deno.test("a flag or variable that is wrong is named as such, and RBEE_CONFIG must exist", () => {
  withFiles({}, (p, folder) => {
    assert.match(messageOf(() => loadConfig(p, { queen: { port: 70000 } })), /--port/);
    assert.match(messageOf(() => loadConfig({ ...p, configFiles: [`${folder}/none.toml`] })), /does not exist/);
  });
});

Deno.test("RBEE_HOME moves the data folder and the models, and must be absolute", () => {
  const read = (home?: string) => (name: string) =>
    ({ HOME: "/home/me", RBEE_HOME: home } as Record<string, string | undefined>)[name];
  assert.equal(paths(read()).home, "/home/me/.rbee");
  assert.equal(paths(read()).models, "/home/me/.local/share/rbee/models");
  assert.equal(paths(read("/tmp/r/")).models, "/tmp/r/models");
  assert.throws(() => paths(read("relative")), RbeeError);
});
