/**
 * What `rbee doctor` finds, one thing at a time.
 *
 * @module
 */

/** One thing that was looked at. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** Without it nothing works; otherwise it is a warning. */
  readonly essential: boolean;
  readonly text: string;
  /** The line that mends it. */
  readonly fix?: string;
}
