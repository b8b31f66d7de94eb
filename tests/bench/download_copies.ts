/**
 * How much of a model four machines draw from its origin when they want it at the same time: one fetches it, and the
 * others copy it over the queen's SSH connections.
 *
 * @module
 */
import { join } from "../../runtime/path.ts";
import { canRunCluster, clusterMissing } from "../support/cluster.ts";
import { introduce } from "../support/hub_nodes.ts";
import { HubServer } from "../support/hub_server.ts";
import { modelOf } from "../support/hub_world.ts";
import { onNodes } from "../support/nodes.ts";
import { say } from "./figures.ts";

const machines = ["one", "two", "three", "four"];
const modelBytes = 400_000_000;
const ref = "hf:bench/copies-GGUF:Q8_0";

/** Measures and prints. */
export async function copies(): Promise<void> {
  if (!canRunCluster()) return say(`four machines at once: ${clusterMissing()}`);
  await onNodes(machines, async (nodes) => {
    using hub = new HubServer({ hostname: "0.0.0.0" });
    const { world } = nodes;
    const path = join(world.root, "copies.gguf");
    Deno.writeFileSync(path, modelOf(8_000_000));
    Deno.truncateSync(path, modelBytes);
    await hub.add("bench/copies-GGUF", { "copies-Q8_0.gguf": path });
    await introduce(nodes, hub, machines);
    const begun = performance.now();
    const pulls = machines.map((name) =>
      world.run("rbee", ["models", "pull", ref, "--node", name], { withinMs: 300_000 })
    );
    for (const { code, stderr } of await Promise.all(pulls)) if (code !== 0) throw new Error(stderr);
    const seconds = (performance.now() - begun) / 1_000;
    say(
      `four machines want ${modelBytes / 1e6} MB at once: the origin sent ${
        (hub.bytesSent() / modelBytes).toFixed(3)
      } ` +
        `times the file, all have it after ${seconds.toFixed(1)} s`,
    );
    await nodes.down();
  });
}
