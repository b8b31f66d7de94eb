/**
 * One worker's process with all that belongs to it: its folder, its log, its environment. Everything it was given is
 * taken back when it ends, however that happens.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import type { ProgramCommand } from "../runtime/executables.ts";
import { LogFile } from "../runtime/log_file.ts";
import { isDiskFull } from "../runtime/paths.ts";
import { type Child, type Ended, startChild } from "../runtime/process.ts";
import type { TlsFiles } from "../runtime/serve.ts";
import type { WorkerFacts } from "./worker.ts";
import { type LinkedFile, makeWorkerFolder, type WorkerFolder } from "./worker_folder.ts";

/** A worker fetches nothing: the person's token for the hub is none of its business. */
const hubTokens = Object.freeze({ HF_TOKEN: "", HUGGING_FACE_HUB_TOKEN: "" });

/** What a worker's process is started from. */
export interface WorkerProcessOptions {
  readonly facts: WorkerFacts;
  readonly command: ProgramCommand;
  readonly key: string;
  readonly callbackUrl: string;
  readonly modelFiles: readonly LinkedFile[];
  /** Where worker folders are made. */
  readonly folders: string;
  /** Its log file. */
  readonly log: string;
  /** Passed on when the hive listens on the network. */
  readonly listen?: string;
  /** What it speaks TLS with; put into its folder. */
  readonly tls?: TlsFiles;
  readonly ctx?: number;
  /** Absent: the whole model goes to the GPU, where there is one. */
  readonly gpuLayers?: number;
  readonly threads?: number;
}

/** A started worker process. */
export interface WorkerProcess {
  readonly child: Child;
  /** Resolves when it is gone and what it was given is taken back; never rejects. */
  readonly ended: Promise<Ended>;
}

/** Starts a worker. Throws `WORKER_BINARY_NOT_FOUND`, `WORKER_START_FAILED` or `DISK_FULL`. */
export function startWorkerProcess(options: WorkerProcessOptions): WorkerProcess {
  const folder = makeFolder(options);
  const log = new LogFile(options.log);
  let child: Child;
  try {
    child = startChild({
      exe: options.command.exe,
      args: [...options.command.args, ...workerArguments(options, folder.model)],
      cwd: folder.path,
      env: {
        ...{ PATH: options.command.path, RBEE_WORKER_KEY: options.key },
        ...hubTokens,
        ...deviceEnvironment(options.facts),
      },
      onOutput: (piece) => log.write(piece),
    });
  } catch (cause) {
    folder.remove();
    throw notStarted(options, cause);
  }
  claim(folder, child.pid);
  const ended = child.ended.then((how) => {
    log[Symbol.dispose]();
    folder.remove();
    return how;
  });
  return { child, ended };
}

function makeFolder(options: WorkerProcessOptions): WorkerFolder {
  try {
    return makeWorkerFolder(options.folders, {
      id: options.facts.id,
      modelFiles: options.modelFiles,
      tls: options.tls,
    });
  } catch (cause) {
    throw new RbeeError(isDiskFull(cause) ? "DISK_FULL" : "WORKER_START_FAILED", {
      message: `Cannot start the worker: no folder for it in ${options.folders}`,
      details: { path: options.folders, reason: (cause as Error).message },
      cause,
    });
  }
}

/** A full disk costs the tidying up after a killed hive, nothing else. */
function claim(folder: WorkerFolder, pid: number): void {
  try {
    folder.claim(pid);
  } catch {
    // the folder goes with its worker all the same
  }
}

/** Returns the arguments of `llm-worker-rbee`. The key is not among them: everybody can read a command line. */
export function workerArguments(options: WorkerProcessOptions, model: string): string[] {
  const { facts } = options;
  const optional: [string, string | number | undefined][] = [
    ["--ctx", options.ctx],
    ["--gpu-layers", options.gpuLayers],
    ["--threads", options.threads],
    ["--listen", options.listen],
  ];
  return [
    ...["--worker-id", facts.id, "--model", model, "--model-ref", facts.modelRef],
    ...["--backend", facts.backend, "--device", String(facts.device), "--port", String(facts.port)],
    ...["--callback-url", options.callbackUrl, "--slots", String(facts.slots)],
    ...(options.tls ? ["--tls"] : []),
    ...optional.flatMap(([flag, value]) => value === undefined ? [] : [flag, String(value)]),
  ];
}

/** Shows a CUDA worker its own device alone, counted as the driver's tools count (the default order is by speed). */
function deviceEnvironment(facts: WorkerFacts): Record<string, string> {
  if (facts.backend !== "cuda") return {};
  return { CUDA_VISIBLE_DEVICES: String(facts.device), CUDA_DEVICE_ORDER: "PCI_BUS_ID" };
}

function notStarted(options: WorkerProcessOptions, cause: unknown): RbeeError {
  const missing = cause instanceof Deno.errors.NotFound;
  return new RbeeError(missing ? "WORKER_BINARY_NOT_FOUND" : "WORKER_START_FAILED", {
    message: missing ? undefined : `Cannot start the worker: ${(cause as Error).message}`,
    details: { exe: options.command.exe },
    cause,
  });
}
