import { suite } from "./steps/mod.ts";

suite.feature(new URL("./gguf.feature", import.meta.url));
