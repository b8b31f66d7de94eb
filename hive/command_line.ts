/**
 * The hive's command line.
 *
 * @module
 */
import { Command, InvalidArgumentError, Option } from "commander";
import { ports } from "../protocol/limits.ts";
import { versionLine } from "../runtime/version.ts";
import type { DaemonFlags } from "./daemon.ts";
import { writeErr, writeOut } from "./output.ts";

/** What each command does. */
export interface HiveCommands {
  daemon(flags: DaemonFlags): Promise<void>;
  detect(options: { json: boolean }): Promise<void>;
  status(options: { json: boolean }): Promise<void>;
  fingerprint(options: { json: boolean }): Promise<void>;
}

type RawDaemon = Partial<DaemonFlags> & { addr?: { listen: string; port: number } };

const daemonExamples = `
Examples:
  rbee-hive daemon                          serve on 127.0.0.1:9200
  rbee-hive daemon --port 9300              serve on another port
  RBEE_HIVE_TOKEN=… rbee-hive daemon --listen 192.168.1.5   serve a trusted network, with TLS
`;

/** Returns the command; its actions call `commands`. Throws commander's own errors for wrong usage. */
export function hiveCommandLine(commands: HiveCommands): Command {
  const program = new Command("rbee-hive")
    .description("Looks after this machine's language models and the workers that run them.")
    .version(versionLine("rbee-hive"), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .configureOutput({ writeOut, writeErr })
    .exitOverride()
    .showHelpAfterError("See rbee-hive --help")
    .addHelpText("after", "\nExamples:\n  rbee-hive daemon\n  rbee-hive detect --json\n  rbee-hive status\n");
  program.command("daemon")
    .description("serve until told to end (SIGTERM, Ctrl+C)")
    .option("--port <n>", `the port to listen on (default: ${ports.hive})`, portNumber)
    .option("--listen <address>", "the address to listen on (default: 127.0.0.1)", address)
    .option("--addr <host:port>", "both at once", hostAndPort)
    .option("--plaintext", "speak no TLS on the network: everybody on it can read along")
    .addOption(new Option("--leased", "end when no queen renews the lease").hideHelp())
    .addOption(new Option("--port-fallback", "take another port when that one is taken").hideHelp())
    .addOption(new Option("--detached", "write the log to its file alone").hideHelp())
    .addHelpText("after", daemonExamples)
    .allowExcessArguments(false)
    .action((raw: RawDaemon) => commands.daemon(daemonFlags(raw)));
  program.command("detect")
    .description("show this machine's backends and devices")
    .option("--json", "print JSON", false)
    .addHelpText("after", "\nExamples:\n  rbee-hive detect\n  rbee-hive detect --json\n")
    .allowExcessArguments(false)
    .action((options: { json: boolean }) => commands.detect(options));
  program.command("status")
    .description("show the hive that runs here, and its workers")
    .option("--json", "print JSON", false)
    .addHelpText("after", "\nExamples:\n  rbee-hive status\n  rbee-hive status --json\n")
    .allowExcessArguments(false)
    .action((options: { json: boolean }) => commands.status(options));
  program.command("fingerprint")
    .description("show the certificate of this machine's hive, for `rbee setup add-node` elsewhere")
    .option("--json", "print JSON", false)
    .addHelpText("after", "\nExamples:\n  rbee-hive fingerprint\n  rbee-hive fingerprint --json\n")
    .allowExcessArguments(false)
    .action((options: { json: boolean }) => commands.fingerprint(options));
  return program;
}

function daemonFlags(raw: RawDaemon): DaemonFlags {
  return {
    port: raw.port ?? raw.addr?.port,
    listen: raw.listen ?? raw.addr?.listen,
    plaintext: raw.plaintext ?? false,
    leased: raw.leased ?? false,
    portFallback: raw.portFallback ?? false,
    detached: raw.detached ?? false,
  };
}

function portNumber(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
  if (port >= ports.min && port <= ports.max) return port;
  throw new InvalidArgumentError(`It must be a port from ${ports.min} to ${ports.max}.`);
}

function address(text: string): string {
  if (text.trim() === "") throw new InvalidArgumentError("It must not be empty.");
  return text;
}

function hostAndPort(text: string): { listen: string; port: number } {
  const match = text.match(/^(?:\[([0-9a-fA-F:]+)\]|([^:\s]+)):(\d{1,5})$/);
  if (!match) throw new InvalidArgumentError("It must be an address and a port: 127.0.0.1:9200.");
  return { listen: match[1] ?? match[2], port: portNumber(match[3]) };
}
