/**
 * From what a caller wishes to what a worker is started with: model file, device, slots, context, threads, idle time.
 *
 * @module
 */
import { shapeOf } from "../native/gguf_shape.ts";
import type { Backend } from "../protocol/node.ts";
import type { SpawnWorker } from "../protocol/worker.ts";
import type { Config } from "../runtime/config.ts";
import type { Calibrations } from "./calibration.ts";
import { checkGguf } from "./gguf_check.ts";
import type { MachineReader } from "./machine.ts";
import type { LocalModel, Models } from "./models.ts";
import { type Placement, preflight, type PromiseMemory } from "./preflight.ts";

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
 * Returns the plan, made with what is free now; `promise` keeps its memory until a process holds it. Throws what model,
 * probe and preflight throw: `INVALID_MODEL_REF`, `MODEL_NOT_FOUND`, `MODEL_LOAD_FAILED`, `MODEL_INCOMPATIBLE`,
 * `CONFIG_INVALID`, `VRAM_EXHAUSTED`, `BACKEND_UNAVAILABLE`, `DEVICE_NOT_AVAILABLE`.
 */
export async function planSpawn(
  wish: SpawnWorker,
  from: Planner,
  promise: PromiseMemory,
): Promise<SpawnPlan> {
  const model = await from.models.find(from.models.parse(wish.model_ref));
  // Whatever brought the file here: native code sees it only after this.
  const header = await checkGguf(model.path, model.ref);
  const { workers, hive } = from.config;
  const slots = wish.slots ?? workers.slots;
  const ctx = wish.ctx ?? workers.ctx;
  // Read last and not from memory: a worker may just have ended to make room.
  const machine = await from.machine.read(0);
  const known = {
    size_bytes: model.sizeBytes,
    shape: shapeOf(header, model.sizeBytes),
    quantization: header.quantization,
  };
  const wished = { backend: wish.backend, device: wish.device, slots, ctx, gpuLayers: wish.gpu_layers };
  const { installed } = from;
  const placement = promise((reserved) => preflight({ model: known, wish: wished, machine, installed, reserved }));
  const calibrationName = `${placement.backend}:${model.fingerprint}`;
  return {
    model,
    placement,
    slots,
    ctx: placement.ctx ?? ctx,
    threads: wish.threads ?? workers.threads ?? from.calibrations.threads(calibrationName),
    idleMs: (wish.keep_s ?? hive.idle_timeout_s) * 1_000,
    keepS: wish.keep_s,
    calibrationName,
  };
}
