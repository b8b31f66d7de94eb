/**
 * How fast this machine computes, learned from the texts that its workers finished: one figure for prompts and one for
 * answers, for each backend, device and size of model. The queen chooses machines by them.
 *
 * @module
 */
import * as z from "zod";
import { limits } from "../protocol/limits.ts";
import { type NodeSpeed, nodeSpeed, sizeClass } from "../protocol/hive_status.ts";
import type { WorkDone } from "../protocol/worker.ts";
import type { CalibrationMachine } from "./calibration.ts";

/** What a worker computes with. */
export interface SpeedKey {
  readonly backend: NodeSpeed["backend"];
  readonly device: number;
  readonly sizeBytes: number;
}

/** What counts of a machine: tokens and milliseconds, older ones less and less. */
const learned = nodeSpeed.pick({ backend: true, device: true, size_class: true, tasks: true }).extend({
  prefill_tokens: z.number(),
  prefill_ms: z.number(),
  decode_tokens: z.number(),
  decode_ms: z.number(),
});
type Learned = z.infer<typeof learned>;

const file = z.object({ hostname: z.string(), cpu_cores: z.number().int(), speeds: z.array(learned) });

/** What is left of older work with each newer text: the last ten or so count. */
const fading = 0.9;

const promptTokensMin = 16;

/** The remembered speeds of one machine. */
export class Speeds {
  readonly #path: string;
  readonly #machine: CalibrationMachine;
  readonly #known: Map<string, Learned>;
  #writtenAt = -Infinity;
  #isDirty = false;

  constructor(path: string, machine: CalibrationMachine) {
    this.#path = path;
    this.#machine = machine;
    this.#known = new Map(read(path, machine).map((one) => [keyOf(one), one]));
  }

  /** Learns from what a worker did between two reports; the first one has none before it. `now` is monotonic milliseconds. */
  learn(key: SpeedKey, work: { before?: WorkDone; after: WorkDone }, now: number): void {
    const tasks = work.after.tasks - (work.before?.tasks ?? 0);
    if (tasks <= 0) return;
    const since = (field: keyof WorkDone) => Math.max(0, work.after[field] - (work.before?.[field] ?? 0));
    const place = { backend: key.backend, device: key.device, size_class: sizeClass(key.sizeBytes) };
    const old = this.#known.get(keyOf(place));
    const kept = fading ** tasks;
    // A short prompt takes as long as whatever else is done before the first token: it tells nothing of the speed.
    const hasPrompts = since("prefill_tokens") >= tasks * promptTokensMin || !old;
    const grown = (field: Exclude<keyof WorkDone, "tasks">) =>
      field.startsWith("prefill") && !hasPrompts ? old![field] : (old?.[field] ?? 0) * kept + since(field);
    this.#known.set(keyOf(place), {
      ...place,
      tasks: (old?.tasks ?? 0) + tasks,
      prefill_tokens: grown("prefill_tokens"),
      prefill_ms: grown("prefill_ms"),
      decode_tokens: grown("decode_tokens"),
      decode_ms: grown("decode_ms"),
    });
    this.#isDirty = true;
    if (now - this.#writtenAt >= limits.speedsWriteMs) this.save(now);
  }

  /** Returns what is known; a speed that nothing was measured of is 0. */
  list(): NodeSpeed[] {
    return [...this.#known.values()].map((one) => ({
      backend: one.backend,
      device: one.device,
      size_class: one.size_class,
      prefill_tokens_per_second: perSecond(one.prefill_tokens, one.prefill_ms),
      decode_tokens_per_second: perSecond(one.decode_tokens, one.decode_ms),
      tasks: one.tasks,
    }));
  }

  /** Writes what was learned since the last time. Returns false when that was not possible: it is learned again some day. */
  save(now: number): boolean {
    if (!this.#isDirty) return true;
    this.#writtenAt = now;
    const speeds = [...this.#known.values()].slice(-limits.speedsKeptMax);
    const value = { hostname: this.#machine.hostname, cpu_cores: this.#machine.cpuCores, speeds };
    const temporary = `${this.#path}.${Deno.pid}.tmp`;
    try {
      Deno.writeTextFileSync(temporary, JSON.stringify(value, null, 2) + "\n", { mode: 0o600 });
      Deno.renameSync(temporary, this.#path);
      this.#isDirty = false;
      return true;
    } catch {
      return false; // a full disk: nothing that stops a worker
    }
  }
}

const keyOf = (one: Pick<Learned, "backend" | "device" | "size_class">) =>
  `${one.backend}:${one.device}:${one.size_class}`;

const perSecond = (tokens: number, ms: number) => ms > 0 ? Math.round(tokens / ms * 100_000) / 100 : 0;

/** What another machine with the same home measured, or this one before it was given more cores, is not ours. */
function read(path: string, machine: CalibrationMachine): Learned[] {
  try {
    const found = file.parse(JSON.parse(Deno.readTextFileSync(path)));
    return found.hostname === machine.hostname && found.cpu_cores === machine.cpuCores ? found.speeds : [];
  } catch {
    return []; // missing or damaged: it is measured again
  }
}
