/**
 * From what a caller wishes to what a worker is started with: model file, device, slots, context, threads, idle time.
 *
 * @module
 */
import type { Backend } from "../protocol/node.ts";
import type { SpawnWorker } from "../protocol/worker.ts";
import type { Config } from "../runtime/config.ts";
import type { Calibrations } from "./calibration.ts";
import type { MachineReader } from "./machine.ts";
import type { LocalModel, Models } from "./models.ts";
import { type Placement, preflight } from "./preflight.ts";

/** Everything that is settled before a process is started. */
export interface SpawnPlan {
  readonly model: LocalModel;
  readonly placement: Placement;
  readonly slots: number;
  readonly ctx?: number;
  readonly threads?: number;
  /** 0 means for ever. */
  readonly idleMs: number;
  readonly keepS?: number;
  /** What a measured number of threads is remembered under. */
  readonly calibrationName: string;
}

/** What plans are made from. */
export interface Planner {
  readonly models: Models;
  readonly machine: MachineReader;
  readonly calibrations: Calibrations;
  readonly installed: ReadonlySet<Backend>;
  readonly config: Readonly<Config>;
}

/**
 * Returns the plan. Throws what model, probe and preflight throw: `INVALID_MODEL_REF`, `MODEL_NOT_FOUND`,
 * `MODEL_LOAD_FAILED`, `CONFIG_INVALID`, `VRAM_EXHAUSTED`, `BACKEND_UNAVAILABLE`, `DEVICE_NOT_AVAILABLE`.
 */
export async function planSpawn(wish: SpawnWorker, from: Planner): Promise<SpawnPlan> {
  const [model, machine] = await Promise.all([
    from.models.find(from.models.parse(wish.model_ref)),
    from.machine.read(),
  ]);
  const placement = preflight({
    modelBytes: model.sizeBytes,
    wish: { backend: wish.backend, device: wish.device },
    machine,
    installed: from.installed,
  });
  const { workers, hive } = from.config;
  const calibrationName = `${placement.backend}:${model.fingerprint}`;
  return {
    model,
    placement,
    slots: wish.slots ?? workers.slots,
    ctx: wish.ctx ?? workers.ctx,
    threads: wish.threads ?? workers.threads ?? from.calibrations.threads(calibrationName),
    idleMs: (wish.keep_s ?? hive.idle_timeout_s) * 1_000,
    keepS: wish.keep_s,
    calibrationName,
  };
}
