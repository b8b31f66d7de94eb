import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { CommanderError } from "commander";
import { type DaemonFlags, queenCommandLine } from "./command_line.ts";

async function parse(...args: string[]): Promise<{ flags?: DaemonFlags; text: string; code?: number }> {
  let flags: DaemonFlags | undefined;
  let text = "";
  const keep = (piece: string) => void (text += piece);
  const command = queenCommandLine((found) => Promise.resolve(void (flags = found)), {
    writeOut: keep,
    writeErr: keep,
  });
  try {
    await command.parseAsync(args, { from: "user" });
    return { flags, text };
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return { flags, text, code: error.exitCode };
  }
}

Deno.test("she starts with the word daemon and without it", async () => {
  const plain = { ephemeral: false, detached: false, idle: false };
  deepStrictEqual((await parse()).flags, plain);
  deepStrictEqual((await parse("daemon")).flags, plain);
  deepStrictEqual((await parse("daemon", "-p", "8090", "--listen", "10.0.0.1", "-c", "a.toml", "--ephemeral")).flags, {
    ...plain,
    port: 8090,
    listen: "10.0.0.1",
    config: "a.toml",
    ephemeral: true,
  });
});

Deno.test("wrong usage is refused with a word on what is right", async () => {
  for (const args of [["--bogus"], ["dance"], ["--port", "80"], ["--port", "x"], ["--listen", ""], ["daemon", "x"]]) {
    const { flags, code, text } = await parse(...args);
    deepStrictEqual([flags, code], [undefined, 1], args.join(" "));
    ok(text.includes("queen-rbee --help"), text);
  }
});

Deno.test("help has examples and keeps what only keepers use to itself", async () => {
  const { text, code } = await parse("--help");
  strictEqual(code, 0);
  ok(text.includes("Examples:"));
  ok(!text.includes("--ephemeral") && !text.includes("--detached"));
});
