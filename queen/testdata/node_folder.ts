/**
 * A folder that plays a node for `install_node.sh`: a home, a prefix, and builds whose programs are short scripts, so
 * that hundreds of installations take seconds.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { environment } from "../../runtime/environment.ts";
import { fromFileUrl, join } from "../../runtime/path.ts";
import { newTemporaryFolder, removeFolder } from "../../tests/support/temporary.ts";

/** Where the script lies. */
export const scriptPath: string = fromFileUrl(new URL("../install_node.sh", import.meta.url));

/** What a run of the script gave. */
export interface ScriptRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run the script. */
export interface ScriptOptions {
  /** The shell; `sh` of this machine when absent. */
  readonly shell?: readonly string[];
  /** First in PATH. */
  readonly bin?: string;
  /** Read by the script as standard input; it comes as a file then. */
  readonly input?: Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  /** Standard input stays open behind the script, as the queen does it; whoever started it closes it. */
  readonly isAttended?: boolean;
  /** The script's text when it is not to be as it lies here. */
  readonly script?: string;
}

/** What of a build is other than usual. */
export interface BuildOptions {
  /** More workers than the plain one. */
  readonly variants?: readonly string[];
  /** The version that the programs print. */
  readonly says?: string;
  /** All that stands in each program. */
  readonly text?: string;
  /** How large each program is, about. */
  readonly bytes?: number;
}

/** Returns the SHA-256 of bytes. */
export function sha256(bytes: Uint8Array | string): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Names of everything in a folder, hidden ones included, sorted; none when it is not there. */
export function namesIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].map((entry) => entry.name).sort();
  } catch {
    return [];
  }
}

/** One such node. */
export class NodeFolder implements Disposable {
  readonly root: string = newTemporaryFolder();
  readonly home: string = join(this.root, "home");
  /** With a space and a quote: it is a person's choice. */
  readonly prefix: string;

  constructor(name = "my r'bee") {
    Deno.mkdirSync(this.home);
    this.prefix = join(this.home, name);
  }

  /** Returns another node with the same in its home. */
  copy(): NodeFolder {
    const copy = new NodeFolder();
    new Deno.Command("cp", { args: ["-a", `${this.home}/.`, copy.home] }).outputSync();
    return copy;
  }

  /** Makes a build: a folder with `manifest.json` and programs that print their version. */
  build(version: string, more: BuildOptions = {}): string {
    const folder = join(this.root, `build-${version}`);
    Deno.mkdirSync(folder, { recursive: true });
    const files: Record<string, unknown> = {};
    for (const name of ["rbee-hive", "llm-worker-rbee", ...(more.variants ?? []), "rbee-keeper"]) {
      const said = `echo "${name} ${more.says ?? version} (test, linux-x64)"`;
      const text = more.text ?? `#!/bin/sh\n${said}\nexit # ${name}${".".repeat(more.bytes ?? 20_000)}\n`;
      Deno.writeTextFileSync(join(folder, name), text);
      const backend = name.replace(/^llm-worker-rbee-?/, "");
      files[name] = { sha256: sha256(text), size: text.length, backend: backend || "cpu" };
    }
    const manifest = { version, platform: "linux-x64", backend: "cpu", files };
    Deno.writeTextFileSync(join(folder, "manifest.json"), JSON.stringify(manifest, null, 2));
    return folder;
  }

  /** Starts the script in a process group of its own. */
  start(args: readonly string[], options: ScriptOptions = {}): Deno.ChildProcess {
    const [exe, ...before] = options.shell ?? ["sh"];
    const isAttended = options.isAttended ?? false;
    const after = isAttended ? ["--attended"] : [];
    const path = environment("PATH") ?? "/usr/bin:/bin";
    const child = new Deno.Command(exe, {
      args: [...before, ...(options.input ? [scriptPath] : ["-s", "--"]), "--prefix", this.prefix, ...args, ...after],
      clearEnv: true,
      env: { HOME: this.home, PATH: options.bin ? `${options.bin}:${path}` : path, ...options.env },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }).spawn();
    const bytes = options.input ?? new TextEncoder().encode(options.script ?? Deno.readTextFileSync(scriptPath));
    const input = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream();
    input.pipeTo(child.stdin, { preventClose: isAttended }).catch(() => {}); // it may not read all
    return child;
  }

  /** Runs the script to its end. */
  async run(args: readonly string[], options: ScriptOptions = {}): Promise<ScriptRun> {
    const { code, stdout, stderr } = await this.start(args, options).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, stdout: text(stdout), stderr: text(stderr) };
  }

  /** Returns the version that `current` names, or undefined. */
  get current(): string | undefined {
    try {
      return Deno.readLinkSync(join(this.prefix, "current")).replace(/^versions\//, "");
    } catch {
      return undefined;
    }
  }

  /** Names in `versions`. */
  get versions(): string[] {
    return namesIn(join(this.prefix, "versions"));
  }

  /** Returns what is wrong with the version in use: each program against its manifest. Nothing when none is in use. */
  faults(): string[] {
    if (this.current === undefined) return [];
    const folder = join(this.prefix, "current");
    try {
      const manifest = JSON.parse(Deno.readTextFileSync(join(folder, "manifest.json")));
      if (manifest.version !== this.current) return [`${this.current} has the manifest of ${manifest.version}`];
      return Object.entries(manifest.files as Record<string, { sha256: string; size: number }>).flatMap(
        ([name, { sha256: wanted, size }]) => {
          const bytes = Deno.readFileSync(join(folder, name));
          const isRight = sha256(bytes) === wanted && bytes.length === size;
          const mode = Deno.statSync(join(folder, name)).mode! & 0o777;
          return isRight && mode === 0o755 ? [] : [`${name} is not what the manifest says (mode ${mode.toString(8)})`];
        },
      );
    } catch (error) {
      return [String(error)];
    }
  }

  /** Removes it all. */
  [Symbol.dispose](): void {
    removeFolder(this.root);
  }
}
