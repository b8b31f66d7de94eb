/**
 * What placement looks at, made of plain lists.
 *
 * @module
 */
import type { ModelFacts } from "../../protocol/model.ts";
import type { FetchView, Known, NodeView, SpawnView, WorkerView } from "../known.ts";
import { roomsOf } from "../placement_memory.ts";

/** The lists; what is absent is empty. */
export interface KnownLists {
  readonly nodes?: readonly NodeView[];
  readonly workers?: readonly WorkerView[];
  readonly spawns?: readonly SpawnView[];
  readonly fetches?: readonly FetchView[];
  readonly facts?: readonly ModelFacts[];
  readonly wanted?: readonly string[];
  readonly seen?: Readonly<Record<string, readonly number[]>>;
  readonly tie?: number;
}

/** Returns them as placement reads them. */
export function knownOf(lists: KnownLists): Known {
  const { nodes = [], workers = [], spawns = [], fetches = [], facts = [], wanted = [], seen = {}, tie = 0 } = lists;
  const on = (node: string) => workers.filter((w) => w.node === node);
  return {
    nodes,
    spawns,
    fetches,
    now: 0,
    tie,
    fetchBytesPerSecond: 20e6,
    node: (name) => nodes.find((n) => n.name === name),
    workersOf: (model) => workers.filter((w) => w.model === model),
    workersOn: on,
    rooms(node) {
      const machine = nodes.find((n) => n.name === node)?.machine;
      const here = <T extends { node: string }>(all: readonly T[]) => all.filter((one) => one.node === node);
      return machine && roomsOf({ machine, workers: on(node), spawns: here(spawns), fetches: here(fetches) });
    },
    facts: (model) => facts.find(({ ref }) => ref === model),
    isWanted: ({ id }) => wanted.includes(id),
    cachedBlocks(worker, blocks) {
      const known = seen[worker] ?? [];
      const differs = blocks.findIndex((block, at) => known[at] !== block);
      return differs < 0 ? blocks.length : differs;
    },
  };
}
