/**
 * What workers measured about this machine, model by model: the best number of threads. Workers may not write, so the
 * hive keeps it for them and hands it back as `--threads`.
 *
 * @module
 */
import * as z from "zod";
import { limits } from "../protocol/limits.ts";

const schema = z.record(
  z.string(),
  z.object({ threads: z.number().int().min(1), hostname: z.string(), cpu_cores: z.number().int() }),
);

/** Where the figures hold: a home folder may be shared between machines, and a machine may be given more cores. */
export interface CalibrationMachine {
  readonly hostname: string;
  readonly cpuCores: number;
}

/** The remembered figures of one machine. */
export class Calibrations {
  readonly #path: string;
  readonly #machine: CalibrationMachine;
  #known: z.infer<typeof schema>;

  constructor(path: string, machine: CalibrationMachine) {
    this.#path = path;
    this.#machine = machine;
    this.#known = read(path);
  }

  /** Returns the number of threads that was measured for this model here; undefined when none was. */
  threads(fingerprint: string): number | undefined {
    const found = this.#known[fingerprint];
    const valid = found?.hostname === this.#machine.hostname && found.cpu_cores === this.#machine.cpuCores;
    return valid ? found.threads : undefined;
  }

  /** Remembers a measurement. Returns false when it could not be written: it is then measured again some day. */
  remember(fingerprint: string, threads: number): boolean {
    const { [fingerprint]: _old, ...others } = this.#known;
    const kept = Object.entries(others).slice(-(limits.calibrationsKeptMax - 1));
    const mine = { threads, hostname: this.#machine.hostname, cpu_cores: this.#machine.cpuCores };
    this.#known = { ...Object.fromEntries(kept), [fingerprint]: mine };
    const temporary = `${this.#path}.${Deno.pid}.tmp`;
    try {
      Deno.writeTextFileSync(temporary, JSON.stringify(this.#known, null, 2) + "\n", { mode: 0o600 });
      Deno.renameSync(temporary, this.#path);
      return true;
    } catch {
      return false; // a full disk: nothing that stops a worker
    }
  }
}

function read(path: string): z.infer<typeof schema> {
  try {
    return schema.parse(JSON.parse(Deno.readTextFileSync(path)));
  } catch {
    return {}; // missing or damaged: it is measured again
  }
}
