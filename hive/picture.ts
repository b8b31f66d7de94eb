/**
 * The whole picture of a hive, as every queen that listens gets it after each change.
 *
 * @module
 */
import type { RbeeError } from "../protocol/error.ts";
import type { Backend } from "../protocol/node.ts";
import type { HiveStatus } from "../protocol/hive_routes.ts";
import { limits } from "../protocol/limits.ts";
import type { Log } from "../runtime/log.ts";
import { VERSION } from "../runtime/version.ts";
import type { MachineReader } from "./machine.ts";
import type { Models } from "./models.ts";
import type { Pool } from "./pool.ts";
import { machineLess } from "./reservations.ts";
import type { Speeds } from "./speeds.ts";

/** What the picture is made from. */
export interface PictureParts {
  readonly machine: MachineReader;
  readonly pool: Pool;
  readonly models: Models;
  readonly speeds: Speeds;
  readonly installed: ReadonlySet<Backend>;
  readonly log: Log;
}

/** Returns the picture. A wrong probe refuses every spawn with its error; a queen must see the hive all the same. */
export async function picture({ machine, pool, models, speeds, installed, log }: PictureParts): Promise<HiveStatus> {
  const now = await machine.read(limits.hivePictureAgeMs).catch((error) => {
    log.error("cannot read the machine", { error, code: (error as RbeeError).code });
    return machine.detected();
  });
  return {
    version: VERSION,
    // What is spoken for is shown as taken: whoever places by this picture must not promise it again.
    machine: machineLess(now, pool.reserved()),
    workers: pool.list(),
    models: models.picture(),
    speeds: speeds.list(),
    installed: [...installed],
  };
}
