/**
 * The one place that reads the environment. Everybody else gets values.
 *
 * @module
 */

/** Returns a variable's value; undefined when absent or empty, as shells mean it. */
export function environment(name: string): string | undefined {
  return Deno.env.get(name) || undefined;
}

/** What was there under the names that `replaceForUs` took over. */
const replaced = new Map<string, string | undefined>();

/** Sets a variable for this process alone: its children get what was there before. */
export function replaceForUs(name: string, value: string): void {
  if (!replaced.has(name)) replaced.set(name, Deno.env.get(name));
  Deno.env.set(name, value);
}

/**
 * Keeps rbee's own connections on this machine away from a proxy that the environment names: only what is fetched from
 * the internet goes through it. Not `localhost`, which stands for what lies behind a unix socket: Deno takes a socket
 * for a proxy, and would go around it. Must be called before the first connection; children do so themselves.
 */
export function goAroundProxy(): void {
  const given = (environment("NO_PROXY") ?? environment("no_proxy") ?? "").split(",").map((name) => name.trim());
  const kept = given.filter((name) => !/^(|\*|\.?localhost)$/i.test(name));
  replaceForUs("NO_PROXY", [...kept, "127.0.0.1", "::1"].join(","));
}

/** What must not travel on by itself: library paths (a listed `--allow-run` refuses every spawn with them) and keys. */
const keptBack = /^(LD|DYLD)_|^RBEE_.*(TOKEN|KEY)$/;

/** Returns the environment for a child of rbee: ours without library paths and keys, our pid, then `extra`. */
export function childEnvironment(extra: Readonly<Record<string, string>> = {}): Record<string, string> {
  const inherited = Object.entries({ ...Deno.env.toObject(), ...Object.fromEntries(replaced) })
    .filter((pair): pair is [string, string] => !keptBack.test(pair[0]) && pair[1] !== undefined);
  return { ...Object.fromEntries(inherited), RBEE_PARENT_PID: String(Deno.pid), ...extra };
}

/** Returns all variables that begin with `prefix`, as a plain object. */
export function environmentWithPrefix(prefix: string): Record<string, string> {
  return Object.fromEntries(Object.entries(Deno.env.toObject()).filter(([name]) => name.startsWith(prefix)));
}
