/**
 * How a text becomes one word of a POSIX shell's command line. Pure.
 *
 * @module
 */

/** Returns the text as one word: nothing in it means anything to the shell. A NUL cannot be passed at all and is left out. */
export function shq(text: string): string {
  return `'${text.replaceAll("\0", "").replaceAll("'", `'\\''`)}'`;
}

/** Returns a command line of these words. */
export function commandLine(words: readonly string[]): string {
  return words.map(shq).join(" ");
}

/** Returns the command line that lets a POSIX shell read a script from standard input, whatever the login shell is. */
export function scriptLine(words: readonly string[]): string {
  return `exec sh -s -- ${commandLine(words)}`;
}
