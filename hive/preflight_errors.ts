/**
 * The refusals of a preflight: what is short or missing, in numbers, and what would work.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { type Backend, backendsOf, type Gpu } from "../protocol/node.ts";

/** A place that is too small for a model. */
export interface MemoryShort {
  readonly requiredBytes: number;
  readonly availableBytes: number;
  readonly backend: Backend;
  readonly device: number;
  readonly quantization?: string | null;
  /** A context with which it would fit there. */
  readonly ctx?: number;
  /** Other backends of this machine on which it would fit. */
  readonly backends: readonly Backend[];
  /** Whether workers that run or load here have been promised some of the memory. */
  readonly reserved: boolean;
}

const bytesPerMb = 1024 * 1024;

/** Returns the refusal of S24: both numbers, and everything that would work. */
export function memoryShort(short: MemoryShort): RbeeError {
  const required = Math.ceil(short.requiredBytes / bytesPerMb);
  const available = Math.floor(short.availableBytes / bytesPerMb);
  const { backend, device } = short;
  return new RbeeError("VRAM_EXHAUSTED", {
    message: `Cannot load the model: need ${required} MB, have ${available} MB`,
    details: { required, available, backend, device, ...(short.ctx && { ctx_that_fits: short.ctx }) },
    hint: hintOf(short),
  });
}

function hintOf({ quantization, ctx, backends, reserved }: MemoryShort): string {
  const isSmall = /^I?Q[1-4]|^TQ|^MXFP4/.test(quantization ?? "");
  const first = isSmall ? "Try a smaller model" : "Try a smaller quantized model, Q4 instead of Q8";
  const others = [
    ...(ctx === undefined ? [] : [`--ctx ${ctx}`]),
    ...backends.map((backend) => `--backend ${backend}`),
    ...(reserved ? ["stop a worker first (`rbee workers list`)"] : []),
  ];
  return [first, ...others].join(", or ");
}

/** Returns the refusal of a backend that the machine lacks (S26). */
export function backendUnavailable(backend: Backend, gpus: readonly Gpu[]): RbeeError {
  const available = backendsOf(gpus).map((one) => one.name);
  return new RbeeError("BACKEND_UNAVAILABLE", {
    message: `Cannot use the backend ${backend}: there is only ${available.join(", ")}`,
    details: { backend, available },
    hint: `Use --backend ${available.join(" or --backend ")}, or leave --backend out`,
  });
}

/** Returns the refusal of a device that the machine lacks. */
export function deviceNotAvailable(backend: Backend, device: number, available: number[]): RbeeError {
  return new RbeeError("DEVICE_NOT_AVAILABLE", {
    message: `Cannot use ${backend} device ${device}: there is only ${available.join(", ")}`,
    details: { backend, device, available },
  });
}
