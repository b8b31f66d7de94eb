import assert from "node:assert/strict";
import { commandLine, scriptLine, shq } from "./shell_words.ts";

const hostile = [
  "",
  " ",
  "a b",
  "'",
  "''",
  `"$HOME"`,
  "`id`",
  "$(id)",
  "a\nb",
  "-n",
  "*",
  "~",
  "\\",
  "!!",
  "a;b|c&d",
  "é🐝",
];

/** Returns the words that a shell's program receives. */
function received(line: string): string[] {
  const { stdout } = new Deno.Command("/bin/sh", { args: ["-c", `for w in ${line}; do printf '%s\\0' "$w"; done`] })
    .outputSync();
  return new TextDecoder().decode(stdout).split("\0").slice(0, -1);
}

Deno.test("each word reaches a real shell's program as it is", () => {
  assert.deepEqual(received(commandLine(hostile)), hostile);
});

Deno.test("10,000 random words reach a real shell's program as they are", () => {
  const alphabet = [..."ab'\"$`\\;|&<>*?[]{}()!#~ \t\n\r-é🐝"];
  let seed = 42;
  const next = (bound: number) => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % bound;
  const words = Array.from(
    { length: 10_000 },
    () => Array.from({ length: next(12) }, () => alphabet[next(alphabet.length)]).join(""),
  );
  for (let at = 0; at < words.length; at += 1_000) {
    const some = words.slice(at, at + 1_000);
    assert.deepEqual(received(commandLine(some)), some);
  }
});

Deno.test("a script's line passes its words, and a NUL is left out", () => {
  assert.equal(scriptLine(["a b", "c'd"]), `exec sh -s -- 'a b' 'c'\\''d'`);
  assert.equal(shq("a\0b"), "'ab'");
});
