import assert from "node:assert/strict";
import { type Machine, missingPackages, planFor } from "./test_needs.ts";

const container: Machine = { isRoot: true, hasApt: true, hasSystemd: false, isCi: false };

Deno.test("what is missing is installed as root on Debian, and said otherwise", () => {
  assert.equal(planFor([], container), "nothing");
  assert.equal(planFor(["openssh-server", "nftables"], container), "install");
  assert.equal(planFor(["nftables"], { ...container, isRoot: false }), "say");
  assert.equal(planFor(["nftables"], { ...container, hasApt: false }), "nothing");
});

Deno.test("no test run opens an sshd to the network of a person's machine", () => {
  const desktop = { ...container, hasSystemd: true };
  assert.equal(planFor(["openssh-server"], desktop), "say");
  assert.equal(planFor(["nftables", "faketime"], desktop), "install");
  assert.equal(planFor(["openssh-server"], { ...desktop, isCi: true }), "install");
});

Deno.test("a package is missing when none of its places holds its program", async () => {
  const here = Deno.execPath();
  const needs = { here: [here], gone: ["/nowhere/a", "/nowhere/b"], moved: ["/nowhere/a", here] };
  assert.deepEqual(await missingPackages(needs), ["gone"]);
});
