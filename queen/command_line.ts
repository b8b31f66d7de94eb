/**
 * The queen's command line.
 *
 * @module
 */
import { Argument, Command, InvalidArgumentError, Option } from "commander";
import { ports } from "../protocol/limits.ts";
import { versionLine } from "../runtime/version.ts";

/** What the daemon was started with. */
export interface DaemonFlags {
  readonly port?: number;
  readonly listen?: string;
  readonly config?: string;
  /** Started by a keeper for itself: ends with the last one, and takes free ports when the usual ones are taken. */
  readonly ephemeral: boolean;
  /** Has no hive ready: for commands that need none. */
  readonly idle: boolean;
  /** Writes its log to the file alone. */
  readonly detached: boolean;
}

const examples = `
Examples:
  queen-rbee                              serve on 127.0.0.1:8080 until Ctrl+C or SIGTERM
  queen-rbee daemon --port 8090           serve on another port
  queen-rbee daemon --config ./rbee.toml  with another configuration
  RBEE_QUEEN_TOKEN=… queen-rbee daemon --listen 192.168.1.5   serve a trusted network
`;

/** Returns the queen's command line; its action calls `daemon`. Throws commander's own errors for wrong usage. */
export function queenCommandLine(
  daemon: (flags: DaemonFlags) => Promise<void>,
  output: { writeOut: (text: string) => void; writeErr: (text: string) => void },
): Command {
  return new Command("queen-rbee")
    .description("Takes inference tasks and gives them to workers on your machines. The one place that decides.")
    .version(versionLine("queen-rbee"), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .configureOutput(output)
    .exitOverride()
    .showHelpAfterError("See queen-rbee --help")
    .addArgument(new Argument("[daemon]", "may be left out").choices(["daemon"]))
    .option("-p, --port <n>", `the port to listen on (default: ${ports.queen})`, portNumber)
    .option("--listen <address>", "the address to listen on (default: 127.0.0.1)", notEmpty)
    .option("-c, --config <file>", "the configuration file to use", notEmpty)
    .addOption(new Option("--ephemeral", "end with the last keeper").default(false).hideHelp())
    .addOption(new Option("--idle", "start no hive before it is needed").default(false).hideHelp())
    .addOption(new Option("--detached", "write the log to its file alone").default(false).hideHelp())
    .addHelpText("after", examples)
    .allowExcessArguments(false)
    .action((_word: string | undefined, flags: DaemonFlags) => daemon(flags));
}

function portNumber(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : NaN;
  if (port >= ports.min && port <= ports.max) return port;
  throw new InvalidArgumentError(`It must be a port from ${ports.min} to ${ports.max}.`);
}

function notEmpty(text: string): string {
  if (text.trim() !== "") return text;
  throw new InvalidArgumentError("It must not be empty.");
}
