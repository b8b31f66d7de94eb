import assert from "node:assert/strict";
import { overrides } from "./install_deno.ts";

const LOCK = {
  packages: {
    "": {},
    "node_modules/a": { version: "1.0.0" },
    "node_modules/b": { version: "2.0.0" },
    "node_modules/a/node_modules/b": { version: "3.0.0" },
    "node_modules/@node-llama-cpp/linux-x64": { version: "3.21.1", optional: true },
    "node_modules/@node-llama-cpp/linux-x64-cuda": { version: "3.21.1", optional: true },
  },
};

Deno.test("deno install is held to the lock, and GPU libraries nobody asked for become an empty package", () => {
  assert.deepEqual(overrides(LOCK, ["linux-x64"]), {
    a: "1.0.0",
    "@node-llama-cpp/linux-x64": "3.21.1",
    "@node-llama-cpp/linux-x64-cuda": "npm:empty-npm-package@1.0.0",
  });
});

Deno.test("without packs, optional libraries stay: esbuild's own program is one", () => {
  assert.equal(overrides(LOCK, [])["@node-llama-cpp/linux-x64-cuda"], "3.21.1");
});
