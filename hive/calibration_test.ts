import assert from "node:assert/strict";
import { Calibrations } from "./calibration.ts";

const here = { hostname: "one", cpuCores: 4 };

Deno.test("a measurement outlives the hive, and holds for one model on one machine", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/calibration.json`;
  assert.equal(new Calibrations(path, here).remember("sha256:aa", 3), true);
  assert.equal(new Calibrations(path, here).threads("sha256:aa"), 3);
  assert.equal(new Calibrations(path, here).threads("sha256:bb"), undefined);
  assert.equal(new Calibrations(path, { ...here, hostname: "two" }).threads("sha256:aa"), undefined);
  assert.equal(new Calibrations(path, { ...here, cpuCores: 8 }).threads("sha256:aa"), undefined);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a damaged file counts as none, and an unwritable place is no fault", async () => {
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(`${folder}/calibration.json`, '{"sha256:aa": {"thr');
  const damaged = new Calibrations(`${folder}/calibration.json`, here);
  assert.equal(damaged.threads("sha256:aa"), undefined);
  assert.equal(damaged.remember("sha256:aa", 2), true);
  assert.equal(new Calibrations(`${folder}/missing/c.json`, here).remember("a", 2), false);
  await Deno.remove(folder, { recursive: true });
});
