import { suite } from "./steps/mod.ts";

suite.feature(new URL("./error_format.feature", import.meta.url));
