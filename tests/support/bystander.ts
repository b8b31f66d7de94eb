/**
 * An answer on another machine that goes on while faults are played: it must not be disturbed.
 *
 * @module
 */
import assert from "node:assert/strict";
import { setPriority } from "node:os";
import { eventually } from "./eventually.ts";
import type { Node } from "./nodes.ts";
import type { Program } from "./program.ts";

/** It takes what the others leave of the processors: what is shown is that it goes on, and not how fast. */
function giveWay(pid: number): void {
  setPriority(pid, 5); // at the lowest it does not get the time that its end takes
  try {
    Deno.writeTextFileSync(`/proc/${pid}/autogroup`, "5"); // Linux may weigh sessions against each other
  } catch {
    // here it does not
  }
}

/** Answers one after the other, for as long as they are wanted. */
export class Bystander {
  readonly #node: Node;
  readonly #programs: Program[] = [];
  #running?: Promise<void>;
  #isOver = false;

  private constructor(node: Node) {
    this.#node = node;
  }

  /** Returns one whose first answer has begun. */
  static async start(node: Node): Promise<Bystander> {
    const bystander = new Bystander(node);
    bystander.#programs.push(await node.inferMidStream());
    node.host.rbeeProcesses().forEach(({ pid }) => giveWay(pid));
    bystander.#running = bystander.#goOn();
    bystander.#running.catch(() => {}); // told by `stop`
    return bystander;
  }

  /** Resolves when more has come than until now. */
  async goesOn(): Promise<void> {
    const seen = this.#characters;
    await eventually(() => this.#characters > seen, {
      withinMs: 10_000,
      what: `the answer on ${this.#node.name} goes on`,
      seen: () => this.#programs.at(-1)!.account(),
    });
  }

  /** Ends the last answer. Throws when one of them was disturbed. */
  async stop(): Promise<void> {
    this.#isOver = true;
    this.#programs.at(-1)!.interrupt();
    await this.#running;
  }

  get #characters(): number {
    return this.#programs.reduce((sum, { stdout }) => sum + stdout.length, 0);
  }

  async #goOn(): Promise<void> {
    for (;;) {
      const { code, stderr } = await this.#programs.at(-1)!.finished;
      assert.doesNotMatch(stderr, /Error:|CONNECTION_LOST/, `${this.#node.name} is not disturbed`);
      if (this.#isOver) return;
      assert.equal(code, 0, stderr);
      this.#programs.push(await this.#node.inferMidStream());
    }
  }
}
