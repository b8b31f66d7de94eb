import assert from "node:assert/strict";
import { buildCommands } from "./commands.ts";
import { withoutHelp } from "./help.ts";

Deno.test("help goes as deep as its names do; a name that no command has is left for commander to refuse", () => {
  const root = buildCommands(() => Promise.resolve());
  const cases: [string, string][] = [
    ["help", "--help"],
    ["help infer", "infer --help"],
    ["help setup add-node", "setup add-node --help"],
    ["setup help add-node", "setup add-node --help"],
    ["help setup --json", "setup --help"],
    ["help bogus", "bogus"],
    ["help workers bogus", "workers bogus"],
    ["help infer more", "infer --help"],
    ["infer help me", "infer help me"],
    ["status --json", "status --json"],
  ];
  for (const [typed, meant] of cases) assert.equal(withoutHelp(root, typed.split(" ")).join(" "), meant, typed);
});
