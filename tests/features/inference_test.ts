import { suite } from "./steps/mod.ts";

suite.feature(new URL("./inference.feature", import.meta.url));
