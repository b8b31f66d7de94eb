import { suite } from "./steps/mod.ts";

suite.feature(new URL("./node_install.feature", import.meta.url));
