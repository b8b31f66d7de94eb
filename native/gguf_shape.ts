/**
 * What a GGUF header tells of a model's size in memory.
 *
 * @module
 */
import type { ModelShape } from "../protocol/model.ts";
import { type GgufEntry, type GgufHeader, numberOf } from "./gguf.ts";

/**
 * Returns the shape of the model with this header. `sizeBytes` is that of all files of a split model, whose header is
 * that of the first: the weights that it does not list count as layers. What is missing or absurd counts as 0.
 */
export function shapeOf(header: GgufHeader, sizeBytes: number = header.sizeBytes): ModelShape {
  const { architecture, metadata, tensors } = header;
  const key = (name: string) => `${architecture}.${name}`;
  const whole = (name: string) => wholeNumber(numberOf(metadata, key(name)));
  const layers = Math.min(wholeNumber(header.layers), layersMax);
  let layerBytes = Math.max(0, sizeBytes - header.sizeBytes);
  let otherBytes = 0;
  for (const { name, bytes } of tensors) {
    if (name.startsWith("blk.")) layerBytes += bytes;
    else otherBytes += bytes;
  }
  const heads = perLayer(metadata, key("attention.head_count"), layers);
  return {
    architecture,
    layers,
    context_length: whole("context_length"),
    vocab_size: wholeNumber(header.vocabSize),
    embedding_length: whole("embedding_length"),
    feed_forward_length: Math.max(0, ...perLayer(metadata, key("feed_forward_length"), layers)),
    head_count: Math.max(0, ...heads),
    kv_elements_per_token: keysAndValues(header, { layers, heads }),
    layer_bytes: layerBytes,
    other_bytes: otherBytes,
  };
}

/** More than llama.cpp takes by far; a damaged number must not become a long list. */
const layersMax = 4_096;

function keysAndValues(
  { architecture, metadata }: GgufHeader,
  of: { layers: number; heads: readonly number[] },
): number {
  const number = (name: string) => numberOf(metadata, `${architecture}.${name}`);
  const headsKv = perLayer(metadata, `${architecture}.attention.head_count_kv`, of.layers);
  const embedding = wholeNumber(number("embedding_length"));
  let sum = 0;
  for (let layer = 0; layer < of.layers; layer++) {
    const heads = of.heads[layer] ?? 0;
    const width = heads > 0 ? embedding / heads : 0;
    const perHead = wholeNumber(number("attention.key_length") ?? width) +
      wholeNumber(number("attention.value_length") ?? width);
    sum += (headsKv[layer] ?? heads) * perHead;
  }
  return Math.min(sum, Number.MAX_SAFE_INTEGER);
}

/** Returns the number of each layer; the file has one for all, or a list, or none at all (then the list is empty). */
function perLayer(metadata: ReadonlyMap<string, GgufEntry>, key: string, layers: number): number[] {
  const value = metadata.get(key)?.value;
  if (typeof value === "object") return (value.numbers ?? []).slice(0, layers).map(wholeNumber);
  const one = numberOf(metadata, key);
  return one === undefined ? [] : new Array<number>(layers).fill(wholeNumber(one));
}

function wholeNumber(value: number | undefined): number {
  return value !== undefined && value >= 0 && value <= Number.MAX_SAFE_INTEGER ? Math.floor(value) : 0;
}
