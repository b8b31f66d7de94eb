/**
 * The endpoints with which a person looks at the models of all machines, fetches, checks and removes them.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import { limits } from "../protocol/limits.ts";
import { localNodeName } from "../protocol/node.ts";
import { type ModelPulled, queenRoutes } from "../protocol/queen_routes.ts";
import { call } from "../runtime/call.ts";
import type { Log } from "../runtime/log.ts";
import { type Context, type Endpoint, endpoint } from "../runtime/serve.ts";
import { hiveUp } from "./hive_up.ts";
import { isSame } from "./model_copy.ts";
import { holderOf, listModels, type ModelListParts, requireNode } from "./model_lists.ts";
import type { FetchListener } from "./model_way.ts";
import { hiveOf } from "./model_way.ts";
import { relaySteps } from "./relay_steps.ts";
import type { Effects } from "./effects.ts";
import { type Steps, stepStream } from "./step_stream.ts";

/** What the handlers reach. */
export interface ModelEndpointParts extends ModelListParts {
  readonly effects: Effects;
  readonly log: Log;
}

/** Returns the endpoints. */
export function modelEndpoints(parts: ModelEndpointParts): Endpoint[] {
  return [
    endpoint(queenRoutes.models, async ({ query: { node } }) => {
      if (node !== undefined) requireNode(node, parts);
      return await listModels(node, parts);
    }),
    endpoint(queenRoutes.pullModel, ({ body, context }) => {
      const { model } = parts.tasks.demandOf({ model: body.model });
      if (body.node !== undefined) requireNode(body.node, parts);
      return stepStream(
        context,
        { target: model, log: parts.log },
        (steps) => pull({ model, node: body.node, correlationId: context.correlationId }, steps, parts),
      );
    }),
    endpoint(queenRoutes.removeModel, async ({ body }) => {
      if (body.node !== undefined) requireNode(body.node, parts);
      const { node, ref } = await holderOf({ ...body, mayBeInPart: true }, parts);
      const options = { body: { model_ref: ref }, deadlineMs: limits.callTimeoutMs };
      return { node, ...await call(hiveOf(node, parts), hiveRoutes.removeModel, options) };
    }),
    endpoint(queenRoutes.verifyModel, ({ body, context }) => {
      if (body.node !== undefined) requireNode(body.node, parts);
      return onOneNode(context, { target: body.model, parts }, async (steps) => {
        const { node, ref } = await holderOf(body, parts);
        const route = hiveRoutes.verifyModel;
        return { node, ...await relaySteps(hiveOf(node, parts), { route, body: { model_ref: ref } }, steps) };
      });
    }),
    endpoint(queenRoutes.importModels, ({ body: { node = localNodeName, path }, context }) => {
      requireNode(node, parts);
      return onOneNode(context, { target: node, parts }, async (steps) => {
        await upWith(node, steps, parts);
        const route = hiveRoutes.importModels;
        return { node, ...await relaySteps(hiveOf(node, parts), { route, body: { path } }, steps) };
      });
    }),
  ];
}

function onOneNode(
  context: Context,
  { target, parts }: { target: string; parts: ModelEndpointParts },
  work: (steps: Steps) => Promise<Record<string, unknown>>,
): Response {
  return stepStream(context, { target, log: parts.log }, work);
}

interface PullWish {
  readonly model: string;
  readonly node?: string;
  readonly correlationId: string;
}

async function pull(wish: PullWish, steps: Steps, parts: ModelEndpointParts): Promise<ModelPulled> {
  const { model, correlationId } = wish;
  const node = wish.node ?? await chooseNode(model, parts);
  await upWith(node, steps, parts);
  steps.narrate("model-pull", `📦 Pulling ${model} to ${node}`);
  const from = await peerWith(model, node, parts);
  const listener: FetchListener = { narrate: steps.say, progress: steps.progress };
  const fetched = await parts.effects.fetches.bring({ node, model, from, correlationId }, listener, steps.signal);
  const { models } = await call(hiveOf(node, parts), hiveRoutes.models, { signal: steps.signal });
  const record = models.find((one) => one.local_path === fetched.localPath);
  if (!record) {
    throw new RbeeError("INVALID_RESPONSE", {
      message: `Cannot go on: the hive on ${node} has fetched ${model} and does not list it`,
    });
  }
  const bytes = fetched.source === "cached" ? 0 : record.size_bytes;
  return { node, model_ref: model, source: fetched.source, bytes, model: record };
}

/** Waits for a machine's hive; whoever watches hears what is done for that. */
async function upWith(node: string, steps: Steps, parts: ModelEndpointParts): Promise<void> {
  if (parts.hives.get(node)?.peer) return;
  using _listening = parts.news.listen((one) => {
    if (one.kind === "told" && one.node === node) steps.say(one.narration);
  });
  await hiveUp(node, parts);
}

/** The machine that has it; else this one; else, of those that answer, the one with the most room. Throws `NODE_UNREACHABLE`. */
async function chooseNode(model: string, parts: ModelEndpointParts): Promise<string> {
  const { models } = await listModels(undefined, parts);
  const has = models.filter((one) => isSame(one, model)).map(({ node }) => node);
  if (has.includes(localNodeName)) return localNodeName;
  if (has.length > 0) return has[0];
  const nodes = parts.scheduler.nodes();
  if (nodes.some(({ name }) => name === localNodeName)) return localNodeName;
  const free = (one: typeof nodes[number]) => one.machine?.disk_free_bytes ?? 0;
  const [best] = nodes.filter(({ hive }) => hive === "up").sort((a, b) => free(b) - free(a));
  if (best) return best.name;
  throw new RbeeError("NODE_UNREACHABLE", {
    message: "Cannot choose a machine for the model: none answers",
    hint: "Name one: --node NAME",
  });
}

/** Returns another machine that has the very model. */
async function peerWith(model: string, target: string, parts: ModelEndpointParts): Promise<string | undefined> {
  const others = parts.scheduler.nodes().filter(({ name, hive }) => hive === "up" && name !== target);
  if (others.length === 0) return undefined;
  const known = await parts.effects.fetches.lookUp({ node: target, model }).catch(() => undefined); // no hub in reach
  if (known && known.local_path !== null) return undefined;
  const { models } = await listModels(undefined, parts);
  return models.find((one) => one.node !== target && !one.damaged && isSame(one, model, known?.digest))?.node;
}
