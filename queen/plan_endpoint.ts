/**
 * The endpoint that says what would become of a task. It asks hives and starts those that do not run, so that something
 * can be said of their machines; no worker is started for it, and nothing is fetched.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";
import type { Plan } from "../protocol/plan.ts";
import { queenRoutes } from "../protocol/queen_routes.ts";
import { sleep } from "../runtime/call.ts";
import { within } from "../runtime/process.ts";
import { type Endpoint, endpoint } from "../runtime/serve.ts";
import type { Effects } from "./effects.ts";
import type { HiveNews } from "./hive_news.ts";
import { hiveUp } from "./hive_up.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Tasks } from "./tasks.ts";

/** What it reaches. */
export interface PlanParts {
  readonly scheduler: Scheduler;
  readonly effects: Effects;
  readonly tasks: Tasks;
  readonly news: HiveNews;
}

/** Returns the endpoint. */
export function planEndpoint(parts: PlanParts): Endpoint {
  const { scheduler, tasks } = parts;
  return endpoint(queenRoutes.plan, async ({ body, context }): Promise<Plan> => {
    const demand = tasks.demandOf(body);
    await askHives(parts, body.node);
    await askModel(parts, demand.model, { node: body.node, signal: context.signal });
    return scheduler.plan(demand, body.slots);
  });
}

/** Waits until every hive has shown what it has, or could not be had, or the time is over. */
async function askHives(parts: PlanParts, only: string | undefined): Promise<void> {
  const missing = parts.scheduler.nodes().filter((n) => n.hive !== "up" && (only === undefined || n.name === only));
  if (missing.length === 0) return;
  await within(Promise.allSettled(missing.map(({ name }) => hiveUp(name, parts))), limits.planHivesMs);
}

async function askModel(
  { scheduler, effects }: PlanParts,
  model: string,
  { node, signal }: { node: string | undefined; signal: AbortSignal },
): Promise<void> {
  effects.dispatch({ type: "modelWanted", model, node });
  while (scheduler.isLookedUp(model)) await sleep(limits.queenPollMs, signal);
}
