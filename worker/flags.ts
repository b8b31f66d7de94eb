/**
 * The worker's command line.
 *
 * @module
 */
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { limits, ports } from "../protocol/limits.ts";
import { type Backend, backendNames } from "../protocol/node.ts";
import { hiveRoutes } from "../protocol/hive_routes.ts";
import { workerId } from "../protocol/worker.ts";
import { tlsFileNames } from "../runtime/serve.ts";
import { versionLine } from "../runtime/version.ts";

/** What the command line says. */
export interface WorkerFlags {
  readonly workerId: string;
  /** A GGUF file, as seen from the working directory. */
  readonly model: string;
  /** What users call it. */
  readonly modelRef: string;
  readonly backend: Backend;
  readonly device: number;
  /** 0 means any free one. */
  readonly port: number;
  readonly listen: string;
  /** Speaks TLS with `tls.crt` and `tls.key` of the working directory, and trusts that certificate alone. */
  readonly tls?: boolean;
  /** The hive's address, without a path. */
  readonly callbackUrl?: string;
  readonly slots: number;
  readonly ctx?: number;
  /** Absent: all that fit. */
  readonly gpuLayers?: number;
  readonly threads?: number;
}

/** Where the parser writes. */
export interface FlagsOutput {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
}

const examples = `
The key that clients must send as a bearer token is the environment variable RBEE_WORKER_KEY.

Examples:
  RBEE_WORKER_KEY=secret llm-worker-rbee --model tiny.gguf --port 8081
  RBEE_WORKER_KEY=secret llm-worker-rbee --model tiny.gguf --port 0 --slots 4 --ctx 2048 --threads 2
`;

/** Returns the flags, or the exit code when there is nothing to run: 0 after help or version, 2 after wrong usage. */
export function parseFlags(args: readonly string[], output: FlagsOutput): WorkerFlags | number {
  const command = makeCommand(output);
  try {
    command.parse([...args], { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    throw error;
  }
  const flags = command.opts<Partial<WorkerFlags> & WorkerFlags>();
  return {
    ...flags,
    workerId: flags.workerId ?? `worker-${crypto.randomUUID().slice(0, 8)}`,
    modelRef: flags.modelRef ?? flags.model,
  };
}

function makeCommand(output: FlagsOutput): Command {
  return new Command("llm-worker-rbee")
    .description("Holds one language model in memory and generates text with it, over HTTP.")
    .version(versionLine("llm-worker-rbee"), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .requiredOption("--model <file>", "the GGUF file", named)
    .option("--model-ref <ref>", "what users call the model (default: the file)", named)
    .option("--worker-id <id>", "this worker's name (default: a random one)", identifier)
    .addOption(new Option("--backend <name>", "how to compute").choices(backendNames).default("cpu"))
    .option("--device <n>", "number of the device within its backend", whole(0, 1_024), 0)
    .option("--port <n>", "the port to listen on; 0 takes any free one", portNumber, ports.workerStart)
    .option("--listen <address>", "the address to listen on", named, "127.0.0.1")
    .option("--tls", `speak TLS with ${tlsFileNames.cert} and ${tlsFileNames.key} of the working directory`)
    .option("--callback-url <url>", "the hive to tell when listening", origin)
    .option("--slots <n>", "how many texts are generated at once", whole(1, limits.slotsMax), 1)
    .option("--ctx <tokens>", "upper bound of a slot's context", whole(limits.ctxTokensMin, limits.ctxTokensMax))
    .option("--gpu-layers <n>", "layers that go to the GPU (default: all that fit)", whole(0, limits.layersMax))
    .option("--threads <n>", "threads to compute with (default: measured)", whole(1, limits.threadsMax))
    .addHelpText("after", examples)
    .allowExcessArguments(false)
    .showHelpAfterError("See llm-worker-rbee --help")
    .configureOutput({ writeOut: output.stdout, writeErr: output.stderr })
    .exitOverride();
}

function whole(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

function portNumber(text: string): number {
  return text === "0" ? 0 : whole(ports.min, ports.max)(text);
}

function named(text: string): string {
  if (text.trim() === "") throw new InvalidArgumentError("It must not be empty.");
  return text;
}

function identifier(text: string): string {
  if (workerId.safeParse(text).success) return text;
  throw new InvalidArgumentError("It must be up to 64 letters, digits, _ and -.");
}

/** The hive's address; its path may be there, since that is where the call goes. */
function origin(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "http:" && url?.protocol !== "https:") {
    throw new InvalidArgumentError("It must be an http:// or https:// address.");
  }
  if (url.pathname !== "/" && url.pathname !== hiveRoutes.workerReady.path) {
    throw new InvalidArgumentError(`Its path must be ${hiveRoutes.workerReady.path} or none.`);
  }
  return url.origin;
}
