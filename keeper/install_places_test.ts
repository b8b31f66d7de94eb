import assert from "node:assert/strict";
import { RbeeError } from "../protocol/error.ts";
import { shellWord } from "./install_errors.ts";
import { placesFor } from "./install_places.ts";

const read = (variables: Record<string, string>) => (name: string) => variables[name];

Deno.test("one person's places are those of S54, the system's those of S55", () => {
  const mine = placesFor(false, { read: read({ HOME: "/home/me" }), os: "linux" });
  assert.equal(mine.bin, "/home/me/.local/bin");
  assert.equal(mine.configFile, "/home/me/.config/rbee/config.toml");
  assert.equal(mine.models, "/home/me/.local/share/rbee/models");
  assert.equal(mine.unit, "/home/me/.config/systemd/user/rbee-queen.service");
  const all = placesFor(true, { read: read({}), os: "linux" });
  assert.deepEqual([all.bin, all.configFile, all.models, all.unit], [
    "/usr/local/bin",
    "/etc/rbee/config.toml",
    "/var/lib/rbee/models",
    "/etc/systemd/system/rbee-queen.service",
  ]);
});

Deno.test("XDG folders count when they are absolute, RBEE_HOME moves the models, RBEE_CONFIG nothing", () => {
  const variables = { HOME: "/home/me/", XDG_CONFIG_HOME: "/c/", XDG_DATA_HOME: "data", RBEE_CONFIG: "/tmp/x.toml" };
  const places = placesFor(false, { read: read(variables), os: "linux" });
  assert.equal(places.configFile, "/c/rbee/config.toml");
  assert.equal(places.completions.fish, "/c/fish/completions/rbee.fish");
  assert.equal(places.completions.bash, "/home/me/.local/share/bash-completion/completions/rbee");
  assert.equal(placesFor(false, { read: read({ ...variables, RBEE_HOME: "/r" }) }).models, "/r/models");
});

Deno.test("on macOS the service is an agent of launchd, the system's a daemon", () => {
  const surroundings = { read: read({ HOME: "/Users/me" }), os: "darwin" } as const;
  assert.equal(placesFor(false, surroundings).unit, "/Users/me/Library/LaunchAgents/org.rbee.queen.plist");
  assert.equal(placesFor(true, surroundings).unit, "/Library/LaunchDaemons/org.rbee.queen.plist");
});

Deno.test("without a HOME, and with a line break in it, there is one clear error", () => {
  for (const HOME of ["", "relative", "/", "/home/me\nExecStart=/bin/sh"]) {
    const isTold = (error: unknown) => error instanceof RbeeError && /HOME/.test(error.message);
    assert.throws(() => placesFor(false, { read: read({ HOME }) }), isTold, HOME);
  }
});

Deno.test("a path is printed as a shell reads it back", () => {
  assert.equal(shellWord("/home/me/.local/bin"), "/home/me/.local/bin");
  assert.equal(shellWord("/home/a b/$x"), "'/home/a b/$x'");
  assert.equal(shellWord("it's"), "'it'\\''s'");
  assert.equal(shellWord(""), "''");
});
