import assert from "node:assert/strict";
import { checkLines, checkReach } from "./doctor.ts";
import { checksOf } from "./doctor_machine.ts";

const text = (checks: ReturnType<typeof checksOf>) => checks.flatMap(checkLines).join("\n");

const small = { hostname: "h", platform: "linux-x64", cpu_cores: 1 };

Deno.test("a machine's memory, disk and devices are told in gigabytes", () => {
  const gib = 1024 ** 3;
  const gpu = {
    backend: "cuda",
    index: 0,
    name: "RTX 3090",
    memory_total_bytes: 24 * gib,
    memory_free_bytes: 20 * gib,
  };
  const found = checksOf(JSON.stringify({
    machine: {
      ...{ hostname: "h", platform: "linux-x64", cpu_cores: 8, gpus: [gpu], disk_free_bytes: 100 * gib },
      ...{ memory_total_bytes: 16 * gib, memory_available_bytes: 8 * gib },
    },
  }));
  assert.equal(
    text(found),
    "✓ memory: 8.0 GB free of 16.0 GB\n✓ disk: 100.0 GB free for models\n" +
      "✓ devices: cpu (8 cores), cuda:0 RTX 3090 (20.0 GB free)",
  );
});

Deno.test("what is short or missing is marked, with the line that mends it", () => {
  const found = checksOf(JSON.stringify({
    machine: { ...small, memory_total_bytes: 1e9, memory_available_bytes: 1e8, gpus: [] },
  }));
  assert.match(text(found), /^⚠ memory: .*\n {4}→ Close programs/);
  assert.match(text(checksOf("not JSON")), /^⚠ devices: detection did not answer\n {4}→ .*rbee-hive detect/);
});

Deno.test("a home from which no other machine can be reached is a warning, with what would do", () => {
  assert.deepEqual(checkReach("/home/me/.rbee"), []);
  const found = checkReach("/" + "x".repeat(79));
  assert.match(
    text(found),
    /^⚠ other machines: Cannot reach other machines .*\(RBEE_HOME_TOO_LONG\)\n {4}→ Set RBEE_HOME/,
  );
});
