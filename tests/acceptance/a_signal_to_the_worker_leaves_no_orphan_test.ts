import { atRest, midStream } from "../support/faults.ts";

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  Deno.test(`${signal} at the worker mid-stream: one clear error, partial text saved, no orphan, the next infer works`, () =>
    midStream({ program: "llm-worker-rbee", signal }));

  Deno.test(`${signal} at the worker at rest: no orphan, the view is right, the next infer works`, () =>
    atRest({ program: "llm-worker-rbee", signal }));
}
