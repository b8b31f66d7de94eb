import { suite } from "./steps/mod.ts";

suite.feature(new URL("./install.feature", import.meta.url));
