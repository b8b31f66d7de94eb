import { deepStrictEqual } from "node:assert/strict";
import { Fairness } from "./fairness.ts";

const task = (id: string, client: string, model = "m") => ({ id, client, model });
const ids = (tasks: { id: string }[]) => tasks.map((one) => one.id).join(" ");

Deno.test("clients take turns, each client's own tasks in the order of their arrival", () => {
  const fairness = new Fairness();
  const waiting = [task("a1", "a"), task("a2", "a"), task("a3", "a"), task("b1", "b"), task("b2", "b")];
  deepStrictEqual(ids(fairness.order(waiting)), "a1 b1 a2 b2 a3");
});

Deno.test("turns are remembered between slots: whoever had one waits until the others have had theirs", () => {
  const fairness = new Fairness();
  let waiting = [task("a1", "a"), task("a2", "a"), task("a3", "a"), task("b1", "b"), task("c1", "c")];
  const given: string[] = [];
  while (waiting.length > 0) {
    const [next] = fairness.order(waiting);
    fairness.take(next);
    given.push(next.id);
    waiting = waiting.filter((one) => one !== next);
  }
  deepStrictEqual(given.join(" "), "a1 b1 c1 a2 a3");
});

Deno.test("a client that comes late has nothing saved up, and does not wait behind a long line either", () => {
  const fairness = new Fairness();
  let line = Array.from({ length: 10 }, (_none, at) => task(`a${at}`, "a"));
  for (let n = 0; n < 5; n++) {
    fairness.take(fairness.order(line)[0]);
    line = line.slice(1);
  }
  const late = [task("b1", "b"), task("b2", "b"), task("b3", "b")];
  deepStrictEqual(ids(fairness.order([...line.slice(0, 3), ...late])), "b1 a5 b2 a6 b3 a7");
});

Deno.test("a slot that was none gives the turn back", () => {
  const fairness = new Fairness();
  const waiting = [task("a1", "a"), task("b1", "b")];
  fairness.take(waiting[0]);
  deepStrictEqual(ids(fairness.order(waiting)), "b1 a1");
  fairness.giveBack(waiting[0]);
  deepStrictEqual(ids(fairness.order(waiting)), "a1 b1");
});

Deno.test("each model has turns of its own", () => {
  const fairness = new Fairness();
  fairness.take(task("x", "a", "one"));
  const waiting = [task("a1", "a", "one"), task("b1", "b", "one"), task("a2", "a", "two"), task("b2", "b", "two")];
  deepStrictEqual(ids(fairness.order(waiting)), "b1 a1 a2 b2");
});
