/**
 * The endpoints that put rbee on a node and take it off again.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { type Beehive, localNodeName } from "../protocol/node.ts";
import { queenRoutes } from "../protocol/queen_routes.ts";
import type { Log } from "../runtime/log.ts";
import { type Context, type Endpoint, endpoint } from "../runtime/serve.ts";
import { installNode, type InstallSite, uninstallNode } from "./install.ts";
import type { NodeRegistry } from "./nodes.ts";
import type { RemoteShell } from "./remote_shell.ts";
import { type Steps, stepStream } from "./step_stream.ts";

/** What these endpoints reach. */
export interface InstallEndpointsOptions {
  readonly registry: NodeRegistry;
  readonly log: Log;
  /** Returns the shell of a node; `say` hears of the attempts to reach it. Throws why it can't be reached. */
  readonly shellOf: (row: Beehive, say: (human: string) => void) => Promise<RemoteShell>;
  /** Stops the node's hive, if one runs that is ours: its programs are about to be replaced or removed. `say` hears of it. */
  readonly beforeReplace: (node: string, say: (human: string) => void) => Promise<void>;
  /** Told of a node whose programs are new. */
  readonly onInstalled: (node: string) => void;
  /** `[remote] git_repo_dir`: where a node that builds has its checkout. */
  readonly gitRepoDir?: string;
}

/** Returns the endpoints. On each node one installation is at work at a time. */
export function installEndpoints(options: InstallEndpointsOptions): Endpoint[] {
  const { registry } = options;
  const busy = new Set<string>();
  const atWork = <Result>(name: string, context: Context, work: (site: InstallSite) => Promise<Result>): Response => {
    const row = known(registry, name);
    if (busy.has(name)) {
      throw new RbeeError("TEMPORARY_UNAVAILABLE", {
        message: `Cannot install on '${name}' now: an installation is at work there already`,
        details: { node: name },
        hint: "Wait for its end, then run the command again if it is still needed",
      });
    }
    busy.add(name);
    return stepStream(context, { target: name, log: options.log }, async (steps) => {
      try {
        return await work(await siteOf(row, steps, options));
      } finally {
        busy.delete(name);
      }
    });
  };
  return [
    endpoint(queenRoutes.installBeehive, ({ body, context }) =>
      atWork(body.node_name, context, async (site) => {
        const result = await installNode(site, body);
        registry.notePlatform(body.node_name, result.platform);
        options.onInstalled(body.node_name);
        return result;
      })),
    endpoint(
      queenRoutes.uninstallBeehive,
      ({ body, context }) => atWork(body.node_name, context, (site) => uninstallNode(site, body)),
    ),
  ];
}

async function siteOf(row: Beehive, steps: Steps, options: InstallEndpointsOptions): Promise<InstallSite> {
  return {
    node: row,
    steps,
    shell: await options.shellOf(row, (human) => steps.narrate("node-connect", human)),
    beforeReplace: () => options.beforeReplace(row.node_name, (human) => steps.narrate("hive-end", human)),
    gitRepoDir: options.gitRepoDir,
  };
}

function known(registry: NodeRegistry, name: string): Beehive {
  if (name === localNodeName) {
    throw new RbeeError("INVALID_REQUEST", {
      message: "Cannot install on the node local by SSH: it is this machine",
      hint: "Use rbee install",
    });
  }
  const row = registry.beehive(name);
  if (row) return row;
  throw new RbeeError("NODE_NOT_FOUND", {
    message: `Cannot find node '${name}' in the rbee-hive registry`,
    details: { node: name, nodes: registry.list().map((one) => one.node_name) },
  });
}
