/**
 * What a person reads when it is not clear which model is meant, or when a hub does not give it. Pure.
 *
 * @module
 */
import type { RbeeError } from "../protocol/error.ts";
import type { ModelVariant } from "../protocol/model.ts";
import { proposed, variantLines } from "./models_text.ts";

const indent = "    ";

/** The parts of an error's text that are other than usual. */
export interface ModelErrorText {
  readonly facts?: readonly string[];
  readonly advice?: readonly string[];
}

/** Of a repository with several files: which there are, how large, which fit, and a line that works. */
export function ambiguous(error: RbeeError): ModelErrorText {
  const variants = variantsOf(error);
  const one = proposed(variants);
  const given = error.details.model_ref ?? error.details.repository;
  if (!one || typeof given !== "string") return {};
  const [meant, revision] = given.split("@");
  const name = meant.replace(/^(hf:[^:]+):.*$/, "$1"); // what was not clear enough is said anew
  // What is at a hub is fetched; what is here may be meant by any command.
  const command = error.details.model_ref === undefined ? "rbee models pull " : "";
  return {
    facts: variantLines(variants),
    advice: [
      "Name one of them, for example:",
      `${indent}${command}${name}:${one.name}${revision ? `@${revision}` : ""}`,
    ],
  };
}

function variantsOf({ details: { variants } }: RbeeError): ModelVariant[] {
  if (!Array.isArray(variants)) return [];
  // Its schema would be loaded for every command, and `rbee --help` is to be quick.
  return variants.filter((one) => typeof one?.name === "string" && typeof one.size_bytes === "number");
}

/** Of a repository that not everybody may read: what gives rbee the person's token. */
export function gated(error: RbeeError): ModelErrorText {
  const { page, model_ref: ref = typeof page === "string" ? `hf:${nameOf(page)}` : undefined } = error.details;
  if (typeof ref !== "string" || !ref.startsWith("hf:")) return {};
  return {
    facts: [],
    advice: [
      `Suggestion: ${error.hint}`,
      "rbee takes your token in one of these ways:",
      `${indent}HF_TOKEN=hf_... rbee models pull ${ref}   (a queen that runs keeps what she was started with)`,
      `${indent}put it into ~/.cache/huggingface/token on that machine`,
    ],
  };
}

/** `org/repo` of a hub's page. */
const nameOf = (page: string) => page.split("/").slice(-2).join("/");
