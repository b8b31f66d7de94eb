/**
 * Machines of a cluster that fetch their models from a hub of the tests.
 *
 * @module
 */
import type { NodeCluster } from "./nodes.ts";

/** Lets machines find a hub at this one, and makes them nodes of a queen that stays. */
export async function introduce(
  nodes: NodeCluster,
  hub: { readonly url: string },
  names: readonly string[],
): Promise<void> {
  for (const name of names) {
    const node = nodes.node(name);
    // Each machine has its own cable to this one.
    const endpoint = new URL(hub.url);
    endpoint.hostname = node.host.controlAddress;
    node.configure({ models: { hf_endpoint: endpoint.origin } });
  }
  await nodes.world.up();
  for (const name of names) await nodes.add(name);
}
