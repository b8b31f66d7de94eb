/**
 * The whole picture of a hive, as every queen that listens gets it after each change.
 *
 * @module
 */
import type { RbeeError } from "../protocol/error.ts";
import type { Backend, Machine } from "../protocol/node.ts";
import type { HiveStatus } from "../protocol/hive_status.ts";
import { limits } from "../protocol/limits.ts";
import type { Log } from "../runtime/log.ts";
import { within } from "../runtime/process.ts";
import { VERSION } from "../runtime/version.ts";
import type { MachineReader } from "./machine.ts";
import type { Models } from "./models.ts";
import type { Pool } from "./pool.ts";
import { machineLess } from "./reservations.ts";
import type { Speeds } from "./speeds.ts";

/** What the picture is made from. */
export interface PictureParts {
  readonly machine: MachineReader;
  readonly pool: Pick<Pool, "list" | "reserved">;
  readonly models: Pick<Models, "picture">;
  readonly speeds: Pick<Speeds, "list">;
  readonly installed: ReadonlySet<Backend>;
  /** What a worker gets of which nobody says it. */
  readonly defaults: HiveStatus["defaults"];
  readonly log: Log;
  /** Told when figures have come that a picture did not wait for. */
  readonly onFigures: () => void;
}

/**
 * Returns what gives the picture. The machine's figures in it are read anew when workers have come, loaded or gone: who
 * places by old ones waits for memory that is free, or ends workers for it. A wrong probe refuses every spawn with its
 * error; a queen must see the hive all the same.
 */
export function pictures(parts: PictureParts): () => Promise<HiveStatus> {
  const { pool, models, speeds, installed, defaults } = parts;
  const figures = figuresOf(parts);
  let before = "";
  return async () => {
    const holders = holdersOf(pool);
    const maxAgeMs = holders === before ? limits.hivePictureAgeMs : 0;
    before = holders;
    const now = await figures(maxAgeMs);
    return {
      version: VERSION,
      // What is spoken for is shown as taken: whoever places by this picture must not promise it again.
      machine: machineLess(now, pool.reserved()),
      workers: pool.list(),
      models: models.picture(),
      speeds: speeds.list(),
      installed: [...installed],
      defaults,
    };
  };
}

/** A person's probe may be slow. News of workers does not wait for it: the figures before are shown until it has answered. */
function figuresOf({ machine, log, onFigures }: PictureParts): (maxAgeMs: number) => Promise<Machine> {
  let last: Machine | undefined;
  return async (maxAgeMs) => {
    const read = machine.read(maxAgeMs);
    const reading = read.catch((error) => {
      log.error("cannot read the machine", { error, code: (error as RbeeError).code });
      return machine.detected();
    });
    if (last === undefined || await within(reading, limits.hivePictureWaitMs)) return last = await reading;
    read.then(onFigures, () => {}); // a wrong one has been told, and is not asked again for that
    return last;
  };
}

/** Equal while nobody's memory changes but by use. */
const holdersOf = (pool: PictureParts["pool"]): string =>
  pool.list().map(({ id, state }) => state === "loading" ? `${id} loads` : id).join("\n");
