// A page that shows a transcript as a terminal of 80 columns does.
import { readFileSync } from "node:fs";
import { join } from "node:path";

const transcripts = join(import.meta.dirname, "..", "..", "functions", "cli", "tests", "transcripts");
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
// A cell for each character, and rules that are drawn: a machine may have no font of one width, or none with the characters of tables.
const rules = { "─": "thin", "═": "double" };
const cell = (character) => `<i class="${rules[character] ?? ""}">${escaped(character)}</i>`;
// Selected by the command: bold, red, yellow, cyan, dim.
const styles = { 1: "font-weight: bold", 2: "opacity: 0.7", 31: "color: #ff7b72", 33: "color: #e3b341", 36: "color: #76e3ea" };

function line(text) {
  const parts = text.split(/\\e\[([\d;]*)m/);
  let html = "";
  let style = "";
  for (const [n, part] of parts.entries()) {
    if (n % 2 === 0) html += part === "" ? "" : `<span style="${style}">${[...part].map(cell).join("")}</span>`;
    else {
      const codes = part.split(";").filter((code) => code !== "");
      const reset = codes.length === 0 || codes.includes("0");
      style = (reset ? [] : [style]).concat(codes.filter((code) => styles[code]).map((code) => styles[code])).join("; ");
    }
  }
  return html;
}

// The commands of a transcript of these numbers, from 0, as they were seen.
export function terminalPage(name, numbers) {
  const text = readFileSync(join(transcripts, `${name}.txt`), "utf8");
  const commands = text.split(/^(?=\$ )/m).filter((_, n) => numbers.includes(n));
  if (commands.length !== numbers.length) throw new Error(`${name}.txt has no such commands: ${numbers}`);
  const lines = commands.join("").replaceAll(/^\[exit status \d+\]\n/gm, "").trimEnd().split("\n").map(line).join("\n");
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>ecr-warden ${name}</title>
<style>body { margin: 0; background: #0d1117; } pre { margin: 0; padding: 16px 20px; width: 688px; color: #e6edf3;
font: 14px/19px "DejaVu Sans Mono", monospace; } i { display: inline-block; width: 8.6px; height: 19px; font-style: normal; text-align: center;
vertical-align: top; white-space: pre; } i.thin, i.double { color: transparent; position: relative; } i.thin::after, i.double::after { content: "";
position: absolute; left: 0; right: 0; top: 9px; border-top: 1px solid #6e7681; } i.double::after { top: 8px; border-top: 3px double #6e7681; }
</style><body><pre>${lines}</pre></body></html>`;
}
