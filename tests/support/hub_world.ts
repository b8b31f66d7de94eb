/**
 * A world with a hive of its own and a hub that does what a test says.
 *
 * @module
 */
import type { DownloadRecord } from "../../protocol/hive_models.ts";
import { type ParsedEvent, parseEvents } from "../../protocol/sse.ts";
import { join } from "../../runtime/path.ts";
import { type HubOptions, HubServer } from "./hub_server.ts";
import { type Answer, World } from "./world.ts";

/** A model with this many bytes: a real one, and something behind it that no loader minds. */
export function modelOf(bytes: number, seed = 1): Uint8Array<ArrayBuffer> {
  const tiny = Deno.readFileSync(new URL("../../native/tiny/tiny.gguf", import.meta.url));
  const whole = new Uint8Array(Math.max(bytes, tiny.length));
  let state = seed;
  for (let at = tiny.length; at < whole.length; at++) whole[at] = (state = state * 48_271 % 2_147_483_647) & 255;
  whole.set(tiny);
  return whole;
}

/** How a download ended, and what was told on the way. */
export interface Followed {
  readonly events: ParsedEvent[];
  /** The event before the end mark: `complete` or `error`. */
  readonly last: { stage: string; local_path?: string; message?: string; error?: { code: string; hint: string } };
  /** What people were told. */
  readonly words: string[];
}

/** A world, its hive and a hub. */
export class HubWorld implements AsyncDisposable {
  readonly world: World;
  readonly hub: HubServer;

  constructor(options: HubOptions = {}, world: World = new World()) {
    this.world = world;
    this.hub = new HubServer(options);
    this.world.env.HF_ENDPOINT = this.hub.url;
    this.world.configure({ models: { stall_timeout_s: 1 } });
  }

  /** Where models lie. */
  get models(): string {
    return join(this.world.home, "models");
  }

  /** Calls the hive. */
  call(request: string, body?: unknown): Promise<Answer> {
    return this.world.call({ who: "hive" }, request, { body, withinMs: 30_000 });
  }

  /** Asks the hive for a model. Returns its answer. */
  ask(ref: string): Promise<Answer> {
    return this.call("POST /v1/models/download", { model_ref: ref });
  }

  /** Follows a download to its end. */
  async follow(id: string, onEvent?: (event: ParsedEvent) => void, signal?: AbortSignal): Promise<Followed> {
    const response = await this.world.open({ who: "hive" }, `GET /v1/models/download/progress?id=${id}`, { signal });
    const events: ParsedEvent[] = [];
    for await (const event of parseEvents(response.body ?? new Blob([]).stream())) {
      events.push(event);
      onEvent?.(event);
    }
    const plain = events.filter(({ event, data }) => event === undefined && data !== "[DONE]");
    const words = events.filter(({ event }) => event === "narration").map(({ data }) => JSON.parse(data).human);
    return { events, words, last: JSON.parse(plain.at(-1)?.data ?? "{}") };
  }

  /** Fetches a model and follows it to its end. Throws when the hive refuses at once. */
  async pull(ref: string): Promise<Followed> {
    const { status, json, text } = await this.ask(ref);
    if (status !== 200) throw new Error(`Cannot fetch ${ref}: ${text}`);
    return await this.follow(String(json.download_id));
  }

  /** The downloads that the hive shows. */
  async downloads(): Promise<DownloadRecord[]> {
    return (await this.call("GET /v1/models/downloads")).json.downloads as unknown as DownloadRecord[];
  }

  /** Every file below a folder (that of the models), without the notes that a hive keeps beside what is whole. */
  files(folder: string = this.models): string[] {
    try {
      return [...Deno.readDirSync(folder)].flatMap((entry) => {
        const path = join(folder, entry.name);
        if (entry.isDirectory) return this.files(path);
        return entry.name.endsWith(".gguf.rbee.json") ? [] : [path];
      });
    } catch {
      return [];
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.hub[Symbol.dispose]();
    await this.world[Symbol.asyncDispose]();
  }
}

/** Runs a test in such a world with a hive that an operator started. What happened is added to a failure. */
export async function inHubWorld(
  test: (world: HubWorld) => Promise<void>,
  options: HubOptions & { prepare?: (world: HubWorld) => void } = {},
): Promise<void> {
  await using hubWorld = new HubWorld(options);
  options.prepare?.(hubWorld);
  try {
    await hubWorld.world.startHive();
    await test(hubWorld);
  } catch (error) {
    const log = hubWorld.hub.log.slice(-20).map((entry) => JSON.stringify(entry)).join("\n");
    const said = error instanceof Error ? error.stack ?? error.message : String(error);
    throw new Error(`${said}\n${hubWorld.world.report()}\n=== the hub\n${log}`, { cause: error });
  }
}
