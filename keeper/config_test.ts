import assert from "node:assert/strict";
import { parse as parseToml } from "smol-toml";
import { checkConfig, type Config, type ConfigTables } from "../runtime/config_schema.ts";
import { configToml, defaultFile } from "./config.ts";

function config(tables: ConfigTables): Config {
  const checked = checkConfig(tables);
  assert.ok("config" in checked, JSON.stringify(checked));
  return checked.config;
}

Deno.test("what config show prints is a file that means the same", () => {
  const wanted = config({
    queen: { port: 8090, token_file: '/a b/"c"' },
    models: { aliases: { "my.model": "file:/x y.gguf", other: "builtin:tiny" } },
    hive: { probe: ["/bin/probe", "--json"], idle_timeout_s: 0.5 },
  });
  const text = configToml(wanted, (table, key) => `# ${table}.${key}`);
  assert.deepEqual(config(parseToml(text) as ConfigTables), wanted);
});

Deno.test("the file that config init writes is valid, and stays so when every comment is taken away", () => {
  const text = defaultFile();
  assert.deepEqual(config(parseToml(text) as ConfigTables), config({}));
  const all = text.split("\n").slice(2).map((line) => line.replace(/^# /, "")).join("\n");
  const used = config(parseToml(all) as ConfigTables);
  assert.equal(used.workers.ctx, 4096);
  assert.equal(used.queen.port, config({}).queen.port);
});

Deno.test("a key that an installation sets has its value, and only that one", () => {
  const text = defaultFile({ "models.dir": "/var/lib/rbee/models" });
  assert.deepEqual(config(parseToml(text) as ConfigTables), config({ models: { dir: "/var/lib/rbee/models" } }));
  assert.equal(text.match(/^#? ?dir = /gm)?.length, 1);
});

Deno.test("every key that exists stands in that file", () => {
  const text = defaultFile();
  const keys = [
    "use_local",
    "wait_s",
    "idle_timeout_s",
    "probe",
    "port_start",
    "threads",
    "max_tokens",
    "aliases",
    "dir",
    "level",
  ];
  for (const key of keys) assert.match(text, new RegExp(`^# ${key} = `, "m"), key);
});
