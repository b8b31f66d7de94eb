import assert from "node:assert/strict";
import { LogFile } from "../runtime/log_file.ts";
import { lastLines, LogFollower } from "./log_files.ts";

function folder(): Disposable & { path: string } {
  const path = Deno.makeTempDirSync({ prefix: "rbee-logs-" });
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

const texts = (lines: readonly { raw: string }[]) => lines.map((line) => line.raw);
const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("the last lines of a long file are read from its end", () => {
  using at = folder();
  const path = `${at.path}/a.log`;
  Deno.writeTextFileSync(path, Array.from({ length: 20_000 }, (_one, n) => `line ${n} äöü\n`).join(""));
  assert.deepEqual(texts(lastLines(path, "a", { count: 2 })), ["line 19998 äöü", "line 19999 äöü"]);
  assert.equal(lastLines(path, "a", { count: 15_000 }).length, 15_000);
  assert.equal(lastLines(path, "a", { count: 100_000 }).length, 20_000);
});

Deno.test("older files are read when the newest has too few lines", () => {
  using at = folder();
  const path = `${at.path}/a.log`;
  Deno.writeTextFileSync(`${path}.2`, "1\n2\n");
  Deno.writeTextFileSync(`${path}.1`, "3\n4\n");
  Deno.writeTextFileSync(path, "5\n");
  assert.deepEqual(texts(lastLines(path, "a", { count: 4 })), ["2", "3", "4", "5"]);
  assert.deepEqual(lastLines(`${at.path}/none.log`, "a", { count: 4 }), []);
});

Deno.test("following goes on over rotation and loses nothing", () => {
  using at = folder();
  const path = `${at.path}/a.log`;
  using file = new LogFile(path, { bytesMax: 30, filesMax: 3 });
  file.write(bytes("old\n"));
  using follower = new LogFollower(path, "a");
  const seen: string[] = [];
  for (let n = 0; n < 20; n++) {
    file.write(bytes(`line ${n}\n`));
    seen.push(...texts(follower.read()));
  }
  assert.deepEqual(seen, Array.from({ length: 20 }, (_one, n) => `line ${n}`));
});

Deno.test("a follower goes on exactly where the last lines end", () => {
  using at = folder();
  const path = `${at.path}/a.log`;
  Deno.writeTextFileSync(path, "1\n2\n");
  using follower = new LogFollower(path, "a");
  Deno.writeTextFileSync(path, "3\n", { append: true });
  assert.deepEqual(texts(lastLines(path, "a", { count: 9, endBytes: follower.startBytes })), ["1", "2"]);
  assert.deepEqual(texts(follower.read()), ["3"]);
});

Deno.test("half a line is shown when its other half has come", () => {
  using at = folder();
  const path = `${at.path}/a.log`;
  using follower = new LogFollower(path, "a");
  assert.deepEqual(follower.read(), []);
  Deno.writeFileSync(path, bytes("ha"));
  assert.deepEqual(follower.read(), []);
  Deno.writeFileSync(path, bytes("lf\n"), { append: true });
  assert.deepEqual(texts(follower.read()), ["half"]);
});
