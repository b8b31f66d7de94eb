/**
 * What a queen tells apart from any task: shown while a command waits for something that concerns several machines.
 *
 * @module
 */
import { limits } from "../protocol/limits.ts";
import { type Narration, narration } from "../protocol/narration.ts";
import { queenRoutes } from "../protocol/queen_routes.ts";
import { type ParsedEvent, parseEvents } from "../protocol/sse.ts";
import { callStream, type Peer } from "../runtime/call.ts";
import { within } from "../runtime/process.ts";
import type { Keeper } from "./keeper.ts";

/** Whether it tells that a hive has ended. */
export const isHiveEnd = (told: Narration): boolean => told.action === "hive-end";

/**
 * Shows what the queen tells from now on, as far as it is wanted, until she ends or what is returned is disposed. A
 * queen that cannot be asked just tells nothing.
 */
export async function showNarration(
  keeper: Keeper,
  peer: Peer,
  isWanted: (told: Narration) => boolean,
): Promise<AsyncDisposable> {
  const cut = new AbortController();
  const stream = await callStream(peer, queenRoutes.narration, {
    signal: cut.signal,
    deadlineMs: limits.queenProbeMs,
    attempts: 1,
  }).catch(() => undefined);
  const shown = stream ? show(keeper, stream.body, isWanted) : Promise.resolve();
  return {
    async [Symbol.asyncDispose]() {
      // Her last words are on their way when she has gone.
      await within(shown, limits.narrationEndMs);
      cut.abort();
    },
  };
}

async function show(
  keeper: Keeper,
  body: ReadableStream<Uint8Array>,
  isWanted: (told: Narration) => boolean,
): Promise<void> {
  try {
    for await (const event of parseEvents(body)) {
      const told = narrationOf(event);
      if (told && isWanted(told)) keeper.render.note(told.actor, told.human);
    }
  } catch {
    // cut, by us or by her end
  }
}

function narrationOf({ event, data }: ParsedEvent): Narration | undefined {
  if (event !== "narration") return undefined;
  try {
    return narration.safeParse(JSON.parse(data)).data;
  } catch {
    return undefined; // of another version, perhaps
  }
}
