/**
 * `rbee models`: list, show, pull, rm, verify, import, aliases. The queen asks the hives; the keeper tells.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { modelsImported, modelVerified } from "../protocol/hive_models.ts";
import { limits } from "../protocol/limits.ts";
import { builtinAliases, parseModelRef, printModelRef } from "../protocol/model.ts";
import { localNodeName } from "../protocol/node.ts";
import { modelPulled, queenRoutes } from "../protocol/queen_routes.ts";
import type { AnswerOf } from "../protocol/routes.ts";
import { call } from "../runtime/call.ts";
import { exitCodes, type Keeper } from "./keeper.ts";
import { type ListedModel, modelLines, showLines, sizeText } from "./models_text.ts";
import { silentLines } from "./node_text.ts";
import { pathHere, timeText } from "./setup.ts";
import { type QueenSession, withQueen } from "./queen_process.ts";
import { followSteps } from "./steps.ts";
import { tableLines } from "./table.ts";

/** The flags that name a machine. */
export interface NodeOptions {
  readonly node?: string;
}

/** The flags that name a model, maybe on one machine. */
export interface ModelOptions extends NodeOptions {
  readonly model: string;
}

const none = "No models yet. `rbee models pull smollm2` fetches one; builtin:tiny is always there.";

/** Uses a queen; whoever names another machine has no use for a hive on this one. */
async function using(
  keeper: Keeper,
  { node }: NodeOptions,
  use: (session: QueenSession) => Promise<number>,
): Promise<number> {
  keeper.aboutNode(node);
  return await withQueen(keeper, use, { idle: node !== undefined && node !== localNodeName });
}

async function modelsOf(
  { queen }: QueenSession,
  { signal }: Keeper,
  node?: string,
): Promise<AnswerOf<typeof queenRoutes.models>> {
  // A hive may have to be started for it.
  return await call(queen.peer, queenRoutes.models, { query: { node }, signal, deadlineMs: limits.hiveEnsureMs });
}

/** Carries out `rbee models list`. Returns 0, also when there are none; 1 when the one machine that was named does not answer. */
export async function listModels(keeper: Keeper, options: NodeOptions): Promise<number> {
  const { render } = keeper;
  return await using(keeper, options, async (session) => {
    const { models, nodes } = await modelsOf(session, keeper, options.node);
    if (render.json) await render.value({ models, nodes });
    else {
      const lines = models.length > 0 ? modelLines(models, timeText) : [none];
      await render.line([...lines, ...silentLines(nodes)].join("\n"));
    }
    return exitCodes.success;
  });
}

/** Carries out `rbee models show`. Returns 0. Throws `MODEL_NOT_FOUND`. */
export async function showModel(keeper: Keeper, options: ModelOptions): Promise<number> {
  const { render } = keeper;
  return await using(keeper, options, async (session) => {
    const { models } = await modelsOf(session, keeper, options.node);
    const found = await meant(keeper, options.model, models);
    if (found.length === 0) {
      throw new RbeeError("MODEL_NOT_FOUND", {
        message: `Cannot find ${options.model}: it is on no machine that answers`,
        details: { model_ref: options.model },
        hint: `rbee models list shows what is there; rbee models pull ${options.model} fetches it`,
      });
    }
    if (render.json) await render.value({ models: found });
    else {
      const known = new Map(await Promise.all(found.map(async (one) => [one, await factsOf(session, one)] as const)));
      await render.line(found.map((one) => showLines(one, timeText, known.get(one)).join("\n")).join("\n\n"));
    }
    return exitCodes.success;
  });
}

/** What its header tells of its size in memory; undefined when the queen cannot say. */
async function factsOf({ queen }: QueenSession, { ref, node }: ListedModel) {
  const options = { body: { model: ref, node }, deadlineMs: limits.callTimeoutMs, attempts: 1 };
  const plan = await call(queen.peer, queenRoutes.plan, options).catch(() => undefined);
  return plan?.model ?? undefined;
}

/** Returns the models of a name, a reference or an alias; of a repository all that are there. */
async function meant(keeper: Keeper, text: string, models: readonly ListedModel[]): Promise<ListedModel[]> {
  const byId = models.filter((one) => one.id === text);
  if (byId.length > 0) return byId;
  const { config } = await keeper.config();
  const ref = parseModelRef(text, config.models.aliases);
  const exact = models.filter((one) => one.ref === printModelRef(ref));
  if (exact.length > 0 || ref.provider !== "hf" || ref.variant !== undefined) return exact;
  return models.filter((one) => one.provider === "hf" && one.reference === `${ref.org}/${ref.repo}`);
}

/** Carries out `rbee models pull`. Returns 0 when the model is there, 130 when it was canceled. */
export async function pullModel(keeper: Keeper, options: ModelOptions): Promise<number> {
  const { render } = keeper;
  return await using(keeper, options, async ({ queen }) => {
    const { model, node } = options;
    try {
      const body = { model, node };
      const value = await followSteps(keeper, queen, { route: queenRoutes.pullModel, body, lines: true });
      if (render.json) await render.line(JSON.stringify(value));
      else await render.line(pulledLine(modelPulled.parse(value)));
      return exitCodes.success;
    } catch (thrown) {
      if (!keeper.signal.aborted) throw thrown;
      render.canceled();
      const flag = node === undefined ? "" : ` --node ${node}`;
      render.note("rbee-keeper", `What came stays. Go on with: rbee models pull ${model}${flag}`);
      return exitCodes.canceled;
    }
  });
}

function pulledLine({ node, model_ref: ref, source, model }: ReturnType<typeof modelPulled.parse>): string {
  const whence = { cached: "was there already", hub: "downloaded", peer: "copied from another machine" }[source];
  return `✓ ${ref} is on ${node}: ${sizeText(model.size_bytes)}, ${whence}`;
}

/** Carries out `rbee models rm`. Returns 0 when it is forgotten. */
export async function removeModel(keeper: Keeper, { model, node }: ModelOptions): Promise<number> {
  const { render } = keeper;
  return await using(keeper, { node }, async ({ queen }) => {
    const options = { body: { model, node }, signal: keeper.signal, deadlineMs: limits.hiveEnsureMs };
    const answer = await call(queen.peer, queenRoutes.removeModel, options);
    if (render.json) await render.value(answer);
    else {
      const { model_ref: ref, removed_bytes: bytes, kept } = answer;
      await render.line(`✓ ${ref} removed from ${answer.node}: ${sizeText(bytes)} freed`);
      for (const path of kept) await render.line(`  ${path} is not rbee's own and stays`);
    }
    return exitCodes.success;
  });
}

/** Carries out `rbee models verify`. Returns 0 when it is as it should be, 1 when not. */
export async function verifyModel(keeper: Keeper, { model, node }: ModelOptions): Promise<number> {
  const { render } = keeper;
  return await using(keeper, { node }, async ({ queen }) => {
    const body = { model, node };
    const value = await followSteps(keeper, queen, { route: queenRoutes.verifyModel, body, lines: true });
    if (render.json) await render.line(JSON.stringify(value));
    const { model_ref: ref, result, digest } = modelVerified.parse(value);
    const isGood = result === "ok" || result === "unknown-digest";
    if (!render.json) await render.line(`${isGood ? "✓" : "✗"} ${ref}: ${verdicts[result](digest)}`);
    return isGood ? exitCodes.success : exitCodes.failure;
  });
}

const verdicts = {
  ok: (digest: string | null) => `every byte is as it should be${digest === null ? "" : ` (${digest})`}`,
  damaged: () => "its bytes are not what they should be; `rbee models pull` fetches it anew",
  missing: () => "its files are gone; `rbee models pull` fetches it anew",
  "unknown-digest": () => "its header and length are good; nobody told the digest of its bytes",
} as const;

/** Carries out `rbee models import`. Returns 0 when anything was taken, 1 when nothing was. */
export async function importModels(keeper: Keeper, options: NodeOptions & { path: string }): Promise<number> {
  const { render } = keeper;
  return await using(keeper, options, async ({ queen }) => {
    const { node } = options;
    const isHere = node === undefined || node === localNodeName;
    const body = { path: isHere ? pathHere(options.path) : options.path, node };
    const value = await followSteps(keeper, queen, { route: queenRoutes.importModels, body, lines: true });
    const { models, skipped } = modelsImported.parse(value);
    if (render.json) await render.line(JSON.stringify(value));
    else {
      for (const one of models) await render.line(`✓ ${one.id}: ${sizeText(one.size_bytes)}, ${one.local_path}`);
      for (const { path, reason } of skipped) await render.line(`○ ${path}: ${reason}`);
      if (models.length === 0) await render.line("Nothing was taken.");
    }
    return models.length > 0 ? exitCodes.success : exitCodes.failure;
  });
}

/** Carries out `rbee models aliases`. Returns 0. Asks nobody. */
export async function listAliases(keeper: Keeper): Promise<number> {
  const { render } = keeper;
  const { config } = await keeper.config();
  const configured = config.models.aliases;
  const all = Object.entries({ ...builtinAliases, ...configured });
  const aliases = all.map(([alias, model]) => ({ alias, model, configured: Object.hasOwn(configured, alias) }));
  if (render.json) await render.value({ aliases });
  else {
    const rows = aliases.map((one) => [one.alias, one.model, one.configured ? "config.toml" : "built in"]);
    await render.line(tableLines(["ALIAS", "MODEL", "FROM"], rows).join("\n"));
  }
  return exitCodes.success;
}
