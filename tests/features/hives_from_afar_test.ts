import { suite } from "./steps/mod.ts";

suite.feature(new URL("./hives_from_afar.feature", import.meta.url));
