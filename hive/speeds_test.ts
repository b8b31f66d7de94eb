import assert from "node:assert/strict";
import { sizeClass } from "../protocol/hive_status.ts";
import { Speeds } from "./speeds.ts";

const here = { hostname: "one", cpuCores: 4 };
const key = { backend: "cpu", device: 0, sizeBytes: 100_000_000 } as const;
const work = (tasks: number, tokens: number, ms: number) => ({
  tasks,
  prefill_tokens: 10 * tokens,
  prefill_ms: ms,
  decode_tokens: tokens,
  decode_ms: ms,
});

Deno.test("a speed is learned from what was done since the last report, and newer texts count more", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/speeds.json`;
  const speeds = new Speeds(path, here);
  speeds.learn(key, { after: work(1, 100, 1_000) }, 0);
  speeds.learn(key, { before: work(1, 100, 1_000), after: work(1, 100, 1_000) }, 1);
  const [first] = speeds.list();
  assert.deepEqual(first, {
    backend: "cpu",
    device: 0,
    size_class: 26,
    prefill_tokens_per_second: 1_000,
    decode_tokens_per_second: 100,
    tasks: 1,
  });
  for (let n = 1; n <= 30; n++) {
    speeds.learn(key, { before: work(n, 100 * n, 1_000 * n), after: work(n + 1, 100 * n + 400, 1_000 * n + 1_000) }, n);
  }
  const [later] = speeds.list();
  assert.equal(later.tasks, 31);
  assert.ok(later.decode_tokens_per_second > 380, `${later.decode_tokens_per_second}`);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("speeds outlive the hive, on the machine that they were measured on", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/speeds.json`;
  const speeds = new Speeds(path, here);
  speeds.learn(key, { after: work(1, 100, 1_000) }, 0);
  speeds.learn({ ...key, device: 1 }, { after: work(1, 100, 1_000) }, 1);
  assert.equal(new Speeds(path, here).list().length, 1, "the second one is written later");
  assert.equal(speeds.save(2), true);
  assert.deepEqual(new Speeds(path, here).list(), speeds.list());
  assert.deepEqual(new Speeds(path, { ...here, hostname: "two" }).list(), []);
  assert.deepEqual(new Speeds(path, { ...here, cpuCores: 8 }).list(), []);
  await Deno.writeTextFile(path, '{"hostname": "one", "speeds": [{');
  assert.deepEqual(new Speeds(path, here).list(), []);
  const nowhere = new Speeds(`${folder}/missing/speeds.json`, here);
  nowhere.learn(key, { after: work(1, 1, 1) }, 0);
  assert.equal(nowhere.save(1), false);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a short prompt says nothing of how fast prompts are read", () => {
  const speeds = new Speeds("/nowhere/speeds.json", here);
  const done = (tasks: number, prefill_tokens: number, prefill_ms: number) => ({
    ...{ tasks, prefill_tokens, prefill_ms, decode_tokens: 10 * tasks, decode_ms: 100 * tasks },
  });
  speeds.learn(key, { after: done(1, 1_000, 1_000) }, 0);
  speeds.learn(key, { before: done(1, 1_000, 1_000), after: done(2, 1_004, 3_000) }, 1);
  const [{ prefill_tokens_per_second, decode_tokens_per_second, tasks }] = speeds.list();
  assert.deepEqual([prefill_tokens_per_second, decode_tokens_per_second, tasks], [1_000, 100, 2]);
});

Deno.test("models of similar size are one class", () => {
  assert.equal(sizeClass(0), 0);
  assert.equal(sizeClass(1_000_000_000), sizeClass(900_000_000));
  assert.equal(sizeClass(2 ** 30), 30);
  assert.equal(sizeClass(2 ** 30 - 1), 29);
});
