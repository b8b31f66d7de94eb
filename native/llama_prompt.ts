/**
 * From a prompt to tokens: the model's own chat template, rendered by llama.cpp's Jinja with nothing added, and
 * tokenized so that only the template can write control tokens.
 *
 * @module
 */
import { RbeeError } from "../protocol/error.ts";
import type { ChatMessage, Prompt } from "./engine.ts";
import type { ModelBinding, TemplateBinding } from "./llama_binding.ts";

/** What the loaded model says of its texts. */
export interface PromptOptions {
  readonly model: ModelBinding;
  /** Absent when the file has no chat template. */
  readonly template?: TemplateBinding;
  readonly vocabSize: number;
  /** Put in front of every prompt, when the model wants that. */
  readonly firstToken?: number;
  /** Texts of the tokens that templates may name. */
  readonly bosText: string;
  readonly eosText: string;
  readonly contextTokens: number;
}

/** Below this many characters a prompt is tokenized whatever its length means: it takes less than 20 ms. */
const charactersUnseen = 65_536;

/** Turns prompts of one model into tokens. */
export class PromptReader {
  readonly #options: PromptOptions;
  #controls?: RegExp;
  #tokenBytesMax?: number;

  constructor(options: PromptOptions) {
    this.#options = options;
  }

  /**
   * Returns the tokens of a prompt. Throws `INVALID_REQUEST` when the template refuses the conversation, and
   * `CONTEXT_EXCEEDED` for a text so long that it cannot fit; a shorter one is the caller's to compare.
   */
  read(prompt: Prompt): number[] {
    const { template } = this.#options;
    if ("messages" in prompt) return this.#conversation(prompt.messages);
    if (prompt.raw || !template) return this.#withFirst(this.#tokens(prompt.prompt, false));
    return this.#conversation([{ role: "user", content: prompt.prompt }]);
  }

  #conversation(messages: readonly ChatMessage[]): number[] {
    const { template, bosText, eosText } = this.#options;
    for (const { content } of messages) this.#refuseEndless(content);
    if (!template) return this.#withFirst(this.#tokens(withoutTemplate(messages), false));
    const [safe, mark] = this.#withoutControls(messages);
    let text: string;
    try {
      text = template.render({ messages: safe, add_generation_prompt: true, bos_token: bosText, eos_token: eosText });
    } catch {
      // The renderer's own words are not passed on: they can quote the conversation.
      throw new RbeeError("INVALID_REQUEST", {
        message: "Cannot apply the model's chat template: it refuses this order of roles",
        details: { roles: messages.slice(0, 20).map(({ role }) => role) },
      });
    }
    const parts = mark ? text.split(mark) : [text];
    return this.#withFirst(parts.flatMap((part) => this.#tokens(part, true)));
  }

  /**
   * Returns the messages with a mark inside of every text that would be read as a control token, and the mark; cut
   * there, the halves are ordinary text again. Nearly always there is none, and then the mark is empty.
   */
  #withoutControls(messages: readonly ChatMessage[]): [readonly ChatMessage[], string] {
    const controls = this.#controls ??= this.#controlTexts();
    controls.lastIndex = 0;
    if (!messages.some(({ content }) => content.search(controls) >= 0)) return [messages, ""];
    let code = 0x10fffd; // private use, and another one if a user wrote that
    while (messages.some(({ content }) => content.includes(String.fromCodePoint(code)))) code--;
    const mark = String.fromCodePoint(code);
    const cut = (content: string) => content.replace(controls, (first) => first + mark);
    return [messages.map(({ role, content }) => ({ role, content: cut(content) })), mark];
  }

  /** Returns what finds the first character of each control token's text, overlapping ones too. */
  #controlTexts(): RegExp {
    const { model, vocabSize } = this.#options;
    const texts: string[] = [];
    for (let token = 0; token < vocabSize; token++) {
      if ((model.getTokenAttributes(token) & controlBits) === 0) continue;
      const text = model.getTokenString(token);
      if (text && text.length > 1) texts.push(text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
    }
    return texts.length > 0 ? new RegExp(`(?=${texts.join("|")})[^]`, "gu") : /(?!)/gu;
  }

  #tokens(text: string, controlTokens: boolean): number[] {
    this.#refuseEndless(text);
    return Array.from(this.#options.model.tokenize(text, controlTokens));
  }

  /** A megabyte takes a fifth of a second to tokenize, in which nothing else runs: what cannot fit is not tried. */
  #refuseEndless(text: string): void {
    if (text.length <= charactersUnseen) return;
    const { contextTokens } = this.#options;
    const tokensMin = Math.ceil(text.length / (this.#tokenBytesMax ??= this.#longestToken()));
    if (tokensMin < contextTokens) return;
    throw new RbeeError("CONTEXT_EXCEEDED", {
      message: `Cannot take the prompt: it has at least ${tokensMin} tokens, the context holds ${contextTokens}`,
      details: { prompt_tokens_min: tokensMin, context_tokens: contextTokens },
    });
  }

  #longestToken(): number {
    const { model, vocabSize } = this.#options;
    let longest = 1;
    // No token stands for more characters than its own text has, in any alphabet.
    for (let token = 0; token < vocabSize; token++) {
      longest = Math.max(longest, model.getTokenString(token)?.length ?? 0);
    }
    return longest;
  }

  #withFirst(tokens: number[]): number[] {
    const { firstToken } = this.#options;
    if (firstToken !== undefined && tokens[0] !== firstToken) tokens.unshift(firstToken);
    return tokens;
  }
}

/** Bits of `llama_token_attr` that llama.cpp reads as control tokens: unknown and control. */
const controlBits = 1 | 8;

/** What a model without a template gets: the texts, an empty line between them. */
function withoutTemplate(messages: readonly ChatMessage[]): string {
  return messages.map(({ content }) => content).join("\n\n");
}
