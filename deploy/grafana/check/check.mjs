// Checks dashboards against Grafana's own schema (@grafana/schema): each is written into a TypeScript file that assigns
// it to the type `Dashboard`, and the options and custom fields of each panel to the types of that panel, and the
// compiler judges. Literals are checked for properties that no type knows, too.
//
//   node check.mjs FILE.json...      exit code 0: all fit; 1: one does not, and the compiler says where

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const HERE = dirname(fileURLToPath(import.meta.url));
const RAW = "./node_modules/@grafana/schema/dist/esm/raw/composable";
const PANELS = {
  heatmap: ["heatmap", "Heatmap", true],
  stat: ["stat", "Stat", false],
  "state-timeline": ["statetimeline", "StateTimeline", true],
  table: ["table", "Table", true],
  text: ["text", "Text", false],
  timeseries: ["timeseries", "TimeSeries", true],
};
// What Grafana's own code takes beside its schema: nothing so far. A type that is not above is refused.

const PLAIN = `
// JSON has no enumerations: where the schema wants one, its values will do.
type Plain<T> = T extends string ? \`\${T}\`
  : T extends number | boolean | null | undefined ? T
  : T extends readonly (infer E)[] ? Plain<E>[]
  : T extends object ? { [K in keyof T]: Plain<T[K]> }
  : T;
`;

function sourceOf(files) {
  const lines = ['import type { Dashboard } from "@grafana/schema";'];
  for (const [folder, name] of Object.values(PANELS)) {
    lines.push(`import type * as ${name} from "${RAW}/${folder}/panelcfg/x/${name}PanelCfg_types.gen";`);
  }
  lines.push(PLAIN);
  files.forEach((file, number) => {
    const dashboard = JSON.parse(readFileSync(file, "utf8"));
    lines.push(`// ${basename(file)}`);
    lines.push(`export const dashboard${number}: Plain<Dashboard> = ${JSON.stringify(dashboard, null, 1)};`);
    for (const panel of dashboard.panels) {
      if (panel.type === "row") continue;
      const known = PANELS[panel.type];
      if (!known) throw new Error(`${basename(file)}: panel ${panel.title} is of the unknown type ${panel.type}`);
      const [, name, hasCustom] = known;
      const at = `${number}_${panel.id}`;
      lines.push(`// ${basename(file)}: ${panel.title}`);
      // Defaults that Grafana fills in may be left out; what is there must fit.
      lines.push(`export const options${at}: Partial<Plain<${name}.Options>> = ${JSON.stringify(panel.options)};`);
      const custom = panel.fieldConfig?.defaults?.custom ?? {};
      const type = hasCustom ? `Partial<Plain<${name}.FieldConfig>>` : "Record<string, never>";
      lines.push(`export const custom${at}: ${type} = ${JSON.stringify(custom)};`);
    }
  });
  return lines.join("\n") + "\n";
}

function judged(files) {
  // Beside this file, so that its imports are found in node_modules here.
  const folder = mkdtempSync(join(HERE, ".checked-"));
  try {
    const path = join(folder, "dashboards.ts");
    writeFileSync(path, sourceOf(files).replaceAll(RAW, `.${RAW}`));
    const program = ts.createProgram([path], {
      module: ts.ModuleKind.ESNext,
      moduleResolution: ts.ModuleResolutionKind.Bundler,
      noEmit: true,
      skipLibCheck: true,
      strict: true,
      target: ts.ScriptTarget.ES2022,
      types: [],
    });
    const found = ts.getPreEmitDiagnostics(program);
    const host = { getCanonicalFileName: (name) => name, getCurrentDirectory: () => folder, getNewLine: () => "\n" };
    const lines = readFileSync(path, "utf8").split("\n");
    for (const each of found) {
      const at = each.file && each.start !== undefined ? each.file.getLineAndCharacterOfPosition(each.start).line : 0;
      const heading = lines.slice(0, at + 1).findLast((line) => line.startsWith("// aether") || line.includes(".json"));
      process.stderr.write(`${heading ?? ""}\n${ts.formatDiagnostic(each, host)}`);
    }
    return found.length;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const files = process.argv.slice(2);
if (files.length === 0) {
  process.stderr.write("name at least one file\n");
  process.exit(2);
}
const wrong = judged(files);
process.stdout.write(wrong === 0 ? `${files.length} dashboards fit @grafana/schema\n` : `${wrong} mistakes\n`);
process.exit(wrong === 0 ? 0 : 1);
