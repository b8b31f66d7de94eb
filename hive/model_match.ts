/**
 * Which of the models that are here a reference means. Pure: rows go in, one of them or a refusal comes out.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import { type ModelRef, type ModelVariant, printModelRef } from "../protocol/model.ts";
import type { CatalogRow } from "./catalog.ts";
import { hubPlaceOf, pinnedRevision, quantOfName } from "./model_names.ts";

/** What a row is known by at its hub. */
interface AtHub {
  readonly variant: string;
  readonly revision?: string;
  readonly file: string;
}

type HubRef = ModelRef & { provider: "hf" };
type Row = Pick<CatalogRow, "variant" | "local_path" | "quantization" | "size_bytes" | "damaged">;

/**
 * Returns the row that a hub reference means among those of its repository, which lie in `folder`; undefined when none
 * does. A reference without a variant means the only one. Throws `MODEL_AMBIGUOUS` that lists what there is.
 */
export function hubRow<R extends Row>(ref: HubRef, rows: readonly R[], folder: string): R | undefined {
  const known = rows.map((row) => ({ row, at: atHub(row, folder) })).filter(({ at }) => isOfRevision(ref, at));
  const wanted = ref.variant;
  if (wanted === undefined) return only(ref, known.filter(({ at }) => at.variant === "")) ?? only(ref, known);
  const exact = known.find(({ at }) => at.variant === wanted);
  if (exact) return exact.row;
  const low = wanted.toLowerCase().replace(/\.gguf$/, "");
  const names = ({ at }: { at: AtHub }) => {
    const path = at.file.toLowerCase().replace(/\.gguf$/, "");
    return [path, path.replace(/-\d{5}-of-\d{5}$/, "")];
  };
  const rules: ((one: { row: R; at: AtHub }) => boolean)[] = [
    (one) => names(one).includes(low),
    (one) => names(one).some((path) => path.endsWith(`/${low}`)),
    ({ at }) => quantOfName(at.file)?.toLowerCase() === low,
    // A header tells only the type of most tensors: a file that is called Q4_K_L says Q4_K_M there.
    ({ row, at }) =>
      (at.variant === "" || quantOfName(at.file) === undefined) && row.quantization?.toLowerCase() === low,
  ];
  for (const rule of rules) {
    const row = only(ref, known.filter(rule));
    if (row) return row;
  }
}

/** Returns the row that an import's reference means among those of its name: `latest` when it says no tag, or the only one. */
export function importedRow(
  ref: ModelRef & { provider: "import" },
  rows: readonly CatalogRow[],
): CatalogRow | undefined {
  const tagged = (tag: string) => rows.find(({ variant }) => variant === tag);
  if (ref.variant !== undefined) return tagged(ref.variant);
  return tagged("") ?? tagged("latest") ?? (rows.length === 1 ? rows[0] : undefined);
}

function atHub(row: Row, folder: string): AtHub {
  const [variant, revision] = row.variant.split("@");
  const place = row.local_path.startsWith(`${folder}/`)
    ? hubPlaceOf(row.local_path.slice(folder.length + 1))
    : undefined;
  return { variant, revision, file: place?.file ?? row.local_path };
}

/** What was asked for without a revision is what the repository's main branch had when it was fetched. */
function isOfRevision(ref: HubRef, at: AtHub): boolean {
  const revision = pinnedRevision(ref.revision);
  if (at.revision === revision) return true;
  return revision !== undefined && /^[0-9a-f]{7,}$/.test(revision) && (at.revision?.startsWith(revision) ?? false);
}

function only<R extends Row>(ref: ModelRef, found: readonly { row: R; at: AtHub }[]): R | undefined {
  const whole = found.filter(({ row }) => !row.damaged);
  const rest = whole.length > 0 ? whole : found;
  if (rest.length <= 1) return rest[0]?.row;
  const variants: ModelVariant[] = rest.map(({ row, at }) => ({
    name: at.file,
    quantization: row.quantization,
    size_bytes: row.size_bytes,
    fits: null,
  }));
  throw new RbeeError("MODEL_AMBIGUOUS", {
    message: `Cannot tell which model is meant by ${printModelRef(ref)}: ${rest.length} of them are here`,
    details: { model_ref: printModelRef(ref), variants },
  });
}
