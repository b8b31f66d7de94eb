import { atRest, midStream } from "../support/faults.ts";

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  Deno.test(`${signal} at the queen mid-stream: one clear error, partial text saved, no orphan, the next infer works`, () =>
    midStream({ program: "queen-rbee", signal }));

  Deno.test(`${signal} at the queen at rest: no orphan, the view is right, the next infer works`, () =>
    atRest({ program: "queen-rbee", signal }));
}
