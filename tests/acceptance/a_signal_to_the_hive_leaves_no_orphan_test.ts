import { atRest, midStream } from "../support/faults.ts";

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  Deno.test(`${signal} at the hive mid-stream: one clear error, partial text saved, no orphan, the next infer works`, () =>
    midStream({ program: "rbee-hive", signal }));

  Deno.test(`${signal} at the hive at rest: no orphan, the view is right, the next infer works`, () =>
    atRest({ program: "rbee-hive", signal }));
}
