/**
 * A program in a mount namespace of its own, where a folder stands for `/etc` (and others): so that a test of the system's
 * files touches nobody's system.
 *
 * @module
 */

const script = 'mount --bind "$1" /etc && shift && exec "$@"';

/** Returns the command that runs another one with `folder` in the place of `/etc`. */
export function withEtc(folder: string, exe: string, args: readonly string[]): { exe: string; args: string[] } {
  return { exe: "/usr/bin/unshare", args: ["-rm", "/bin/sh", "-c", script, "sh", folder, exe, ...args] };
}

const systemScript =
  'mount --bind "$1/usr-local" /usr/local && mount --bind "$1/var-lib" /var/lib && mount --bind "$1/etc" /etc && ' +
  'shift && exec "$@"';

/**
 * Returns the command that runs another one as root of its own namespace, with folders of `folder` (they are made) in
 * the places of `/usr/local`, `/etc` and `/var/lib`.
 */
export function withSystem(folder: string, exe: string, args: readonly string[]): { exe: string; args: string[] } {
  for (const name of ["usr-local", "etc", "var-lib"]) Deno.mkdirSync(`${folder}/${name}`, { recursive: true });
  return { exe: "/usr/bin/unshare", args: ["-rm", "/bin/sh", "-c", systemScript, "sh", folder, exe, ...args] };
}

let known: boolean | undefined;

/** Whether this machine lets us: containers often do not. */
export function canMount(): boolean {
  if (known !== undefined) return known;
  try {
    const { exe, args } = withEtc("/etc", "/bin/true", []);
    known = new Deno.Command(exe, { args, stdin: "null", stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    known = false; // no unshare here
  }
  return known;
}
