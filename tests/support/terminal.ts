/**
 * A program on a real terminal (a pty), by Python's standard library where the machine has it, else by `script`, which
 * every Debian has: Deno has no pty, and a test of what a person sees must not go through a pipe. What is written to the
 * program's standard input is typed at that terminal: `\x03` is Ctrl+C.
 *
 * @module
 */

/** Runs its arguments on a pty of 100 columns, relays both ways, and ends as the program ended. */
const relay = `
import os, pty, select, signal, struct, sys, fcntl, termios
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
inputs = [fd, 0]
while fd in inputs:
    for ready in select.select(inputs, [], [])[0]:
        try:
            data = os.read(ready, 65536)
        except OSError:
            data = b""
        if not data:
            inputs.remove(ready)
        elif ready == fd:
            os.write(1, data)
        else:
            os.write(fd, data)
status = os.waitpid(pid, 0)[1]
sys.exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
`;

/** Returns the command that runs another one on a terminal; undefined where there is nothing to make one with. */
export function onTerminal(exe: string, args: readonly string[]): { exe: string; args: string[] } | undefined {
  return byPython(exe, args) ?? byScript(exe, args);
}

/** By python3. */
export function byPython(exe: string, args: readonly string[]): { exe: string; args: string[] } | undefined {
  const python = ["/usr/bin/python3", "/usr/local/bin/python3", ...fromPath()].find(isFile);
  return python === undefined ? undefined : { exe: python, args: ["-c", relay, exe, ...args] };
}

/** By `script` of util-linux, which takes a line for a shell. */
export function byScript(exe: string, args: readonly string[]): { exe: string; args: string[] } | undefined {
  const script = ["/usr/bin/script"].find(isFile);
  if (script === undefined || Deno.build.os !== "linux") return undefined;
  const quoted = [exe, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  return { exe: script, args: ["--quiet", "--return", "--command", `exec ${quoted}`, "/dev/null"] };
}

function fromPath(): string[] {
  const output = new Deno.Command("sh", { args: ["-c", "command -v python3"], stdin: "null", stderr: "null" })
    .outputSync();
  const found = new TextDecoder().decode(output.stdout).trim();
  return found ? [realPython(found)] : [];
}

/** A version manager puts a shell script in front of python, which needs an environment that a clean world lacks. */
function realPython(path: string): string {
  const output = new Deno.Command(path, { args: ["-c", "import sys; print(sys.executable)"], stdin: "null" })
    .outputSync();
  return new TextDecoder().decode(output.stdout).trim() || path;
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Whether programs can be run on a terminal here. */
export function hasTerminal(): boolean {
  return onTerminal("/bin/true", []) !== undefined;
}
