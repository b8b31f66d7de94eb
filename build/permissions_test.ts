import assert from "node:assert/strict";
import { permissionFlags } from "./permissions.ts";

const LIBC =
  "/lib/x86_64-linux-gnu/libc.so.6,/lib/aarch64-linux-gnu/libc.so.6,/usr/lib64/libc.so.6,/usr/lib/libSystem.B.dylib";

Deno.test("the queen's executable runs ssh and rbee-hive only, and no deno", () => {
  assert.deepEqual(permissionFlags("queen"), [
    "--no-prompt",
    "--allow-read",
    "--allow-write",
    "--allow-run=ssh,rbee-hive",
    "--allow-net",
    "--allow-env",
    `--allow-ffi=${LIBC}`,
    "--allow-sys=hostname,systemMemoryInfo",
  ]);
});

Deno.test("the worker's executable has neither write nor run", () => {
  const flags = permissionFlags("worker");
  assert.deepEqual(flags, [
    "--no-prompt",
    "--allow-read=.,/lib,/lib64,/usr/lib",
    "--allow-net",
    "--allow-env",
    "--allow-ffi",
    "--allow-sys=homedir,uid,systemMemoryInfo",
  ]);
});

Deno.test("keeper and hive have read, write and run whole", () => {
  for (const program of ["keeper", "hive"] as const) {
    const flags = permissionFlags(program);
    for (const whole of ["--allow-read", "--allow-write", "--allow-run", "--allow-net", "--allow-env", "--allow-sys"]) {
      assert.ok(flags.includes(whole), `${program} lacks ${whole}`);
    }
  }
});
