import assert from "node:assert/strict";
import type { DirectNode } from "../protocol/node.ts";
import { DirectAccess } from "./direct_access.ts";

const row: DirectNode = {
  ...{ node_name: "fast", transport: "direct", status: "reachable", last_error: null, last_connected_unix: null },
  ...{ address: "127.0.0.1", token_file: "/nowhere", ca_cert_file: null, plaintext: true, hive_port: 1 },
};
const holder = { id: "queen-1", hostname: "here" };

Deno.test("a machine that accepts or refuses is there; one that says nothing is gone", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const accepts = new DirectAccess({ ...row, hive_port: listener.addr.port }, holder);
  assert.equal(await accepts.whyGone(), undefined);
  listener.close();
  assert.equal(await new DirectAccess(row, holder).whyGone(), undefined, "port 1 refuses");
  const nowhere = await new DirectAccess({ ...row, address: "nowhere.invalid" }, holder).whyGone();
  assert.equal(nowhere?.code, "CONNECTION_LOST");
  assert.equal(nowhere?.details.node, "fast");
});

Deno.test("what is not open has no workers, and a token's file that is missing is named", async () => {
  const access = new DirectAccess(row, holder);
  await assert.rejects(access.workerPeer("worker-1", "http://127.0.0.1:1"), { code: "CONNECTION_LOST" });
  await assert.rejects(access.open(() => {}), { code: "CONFIG_INVALID" });
  await access.end();
});
