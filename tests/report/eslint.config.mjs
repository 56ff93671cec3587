/** What eslint holds the report pages' own JavaScript to. */
import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  { files: ["hargcn/report/static/*.mjs"], languageOptions: { globals: { ...globals.browser, uPlot: "readonly" } } },
  { files: ["tests/report/*.mjs"], languageOptions: { globals: globals.node } },
];
