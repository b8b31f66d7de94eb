/**
 * `rbee setup install` and `uninstall`: the queen does it, the keeper tells, and makes executables that are missing when
 * it has a checkout to make them in.
 *
 * @module
 */
import { RbeeError, toErrorBody, toRbeeError } from "../protocol/error.ts";
import type { InstallWish } from "../protocol/install.ts";
import { queenRoutes } from "../protocol/queen_routes.ts";
import { call } from "../runtime/call.ts";
import { compileIn, findCheckout } from "./checkout.ts";
import { errorText } from "./error_text.ts";
import { exitCodes, type Keeper } from "./keeper.ts";
import { withQueen } from "./queen_process.ts";
import type { Queen } from "./queen_probe.ts";
import { followSteps } from "./steps.ts";

/** The flags of `setup install`, parsed. */
export interface InstallOptions {
  readonly node?: string;
  readonly all?: boolean;
  readonly backend?: InstallWish["backend"];
  readonly ship?: boolean;
  readonly fromSource?: boolean;
  readonly service?: boolean;
}

/** The flags of `setup uninstall`, parsed. */
export interface UninstallOptions {
  readonly node: string;
  readonly purge?: boolean;
}

type Result = Record<string, unknown>;
type Outcome = { node_name: string; result: Result } | { node_name: string; error: RbeeError };

/** Carries out `rbee setup install`. Returns 0 when each node has it, with `--all` 1 when one has not. */
export async function installNodes(keeper: Keeper, options: InstallOptions): Promise<number> {
  if ((options.node === undefined) === !options.all) {
    throw new RbeeError("USAGE", {
      message: "Cannot tell where to install: give --node NAME or --all",
      hint: "See rbee setup install --help",
    });
  }
  return await withQueen(keeper, async ({ queen }) => {
    const installer = new Installer(keeper, queen, options);
    if (options.node === undefined) return await installAll(keeper, queen, installer);
    keeper.aboutNode(options.node);
    const result = await installer.install(options.node);
    if (keeper.render.json) await keeper.render.value(result);
    return exitCodes.success;
  }, { idle: true });
}

/** One command's way to install: what was compiled for one node need not be compiled for the next. */
class Installer {
  readonly #keeper: Keeper;
  readonly #queen: Queen;
  readonly #options: InstallOptions;
  readonly #compiled = new Set<string>();

  constructor(keeper: Keeper, queen: Queen, options: InstallOptions) {
    this.#keeper = keeper;
    this.#queen = queen;
    this.#options = options;
  }

  /** Installs on one node; executables that the queen misses are made first, once. */
  async install(node: string): Promise<Result> {
    const { backend, ship, fromSource, service } = this.#options;
    const mode = ship ? "ship" as const : fromSource ? "source" as const : undefined;
    const body = { node_name: node, backend, mode, service };
    const attempt = () => followSteps(this.#keeper, this.#queen, { route: queenRoutes.installBeehive, body });
    try {
      return await attempt();
    } catch (thrown) {
      if (!await this.#couldCompile(toRbeeError(thrown))) throw thrown;
    }
    return await attempt();
  }

  async #couldCompile(error: RbeeError): Promise<boolean> {
    if (error.code !== "EXECUTABLES_NOT_FOUND") return false;
    const backend = typeof error.details.backend === "string" ? error.details.backend : undefined;
    const checkout = findCheckout();
    const what = backend ?? "all";
    if (checkout === undefined || this.#compiled.has(what)) return false;
    this.#compiled.add(what);
    await compileIn(this.#keeper, checkout, backend);
    return true;
  }
}

async function installAll(keeper: Keeper, queen: Queen, installer: Installer): Promise<number> {
  const { render, signal } = keeper;
  const { nodes: registered } = await call(queen.peer, queenRoutes.listBeehives, { signal });
  // Whoever runs a hive on a network of his own installed it himself.
  const nodes = registered.filter((node) => node.transport === "ssh");
  const outcomes: Outcome[] = [];
  for (const { node_name } of nodes) {
    try {
      outcomes.push({ node_name, result: await installer.install(node_name) });
    } catch (thrown) {
      signal.throwIfAborted();
      const error = toRbeeError(thrown);
      render.note("rbee-keeper", `❌ ${node_name}: ${error.message}`);
      outcomes.push({ node_name, error });
    }
  }
  if (render.json) await render.value({ nodes: outcomes.map(outcomeValue) });
  else if (outcomes.length === 0) await render.line("No nodes are registered. `rbee setup add-node` registers one.");
  else await render.line(outcomes.flatMap(outcomeLines).join("\n"));
  return outcomes.some((one) => "error" in one) ? exitCodes.failure : exitCodes.success;
}

function outcomeValue(outcome: Outcome): Record<string, unknown> {
  if ("result" in outcome) return { ok: true, ...outcome.result };
  return { ok: false, node_name: outcome.node_name, ...toErrorBody(outcome.error) };
}

/** Returns what came of one node: a line, and below it what to do when it failed. */
export function outcomeLines(outcome: Outcome): string[] {
  const { node_name: node } = outcome;
  if ("error" in outcome) {
    const { facts, advice } = errorText(outcome.error, { node });
    const { message, code } = outcome.error;
    return [`✗ ${node}: ${message} (${code})`, ...[...facts, ...advice].map((line) => `    ${line}`)];
  }
  const { version, platform, backend, files_sent: sent } = outcome.result;
  const how = typeof sent === "number" && sent > 0 ? `, ${sent} files sent` : "";
  return [`✓ ${node}: v${version}, ${platform}, ${backend}${how}`];
}

/** Carries out `rbee setup uninstall`. Returns 0 when it is gone there. */
export async function uninstallNode(keeper: Keeper, { node, purge }: UninstallOptions): Promise<number> {
  keeper.aboutNode(node);
  return await withQueen(keeper, async ({ queen }) => {
    const body = { node_name: node, purge: purge ?? false };
    const result = await followSteps(keeper, queen, { route: queenRoutes.uninstallBeehive, body });
    if (keeper.render.json) await keeper.render.value(result);
    return exitCodes.success;
  }, { idle: true });
}
