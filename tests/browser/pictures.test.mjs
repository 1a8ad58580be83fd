// Pictures for the documentation: an alert in Slack, the report, and the command at a terminal, by its transcripts. Each is made from what the code writes today; a note beside the
// pictures says what they were made from, so a change of the code without new pictures fails. `UPDATE=1` makes them anew.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch } from "./chromium.mjs";
import { slackPage } from "./slack.mjs";
import { terminalPage } from "./terminal.mjs";

const root = join(import.meta.dirname, "..", "..");
const made = join(root, "target", "pictures");
const kept = join(root, "docs", "pictures");
const note = join(kept, "made-from.json");

let browser;
let pages;

before(async () => {
  mkdirSync(made, { recursive: true });
  const example = ["run", "--quiet", "--package", "ecr-warden-core", "--example", "pictures", "--", made];
  execFileSync("cargo", example, { cwd: root, stdio: "inherit" });
  const text = (name) => readFileSync(join(made, name), "utf8");
  pages = {
    "slack.png": slackPage(JSON.parse(text("slack.json"))),
    "report.png": text("report.html"),
    "audit.png": terminalPage("audit-in-colour", [0]),
    "approve.png": terminalPage("approve", [0, 2]),
  };
  browser = await launch();
});

after(() => browser?.close());

// The clock and the machine are in no page, so the same code writes the same page.
const digest = (page) => createHash("sha256").update(page).digest("hex");

test("the pictures are of what the code writes", async () => {
  const today = Object.fromEntries(Object.entries(pages).map(([name, page]) => [name, digest(page)]));
  const folder = process.env.UPDATE ? kept : made;
  mkdirSync(folder, { recursive: true });
  for (const [name, page] of Object.entries(pages)) {
    const tab = await browser.newPage();
    await tab.setViewport({ width: name === "report.png" ? 900 : 740, height: name === "report.png" ? 700 : 100 });
    await tab.setContent(page);
    const whole = name !== "report.png";
    const picture = await tab.screenshot({ path: join(folder, name), fullPage: whole });
    assert.ok(picture.length > 5000, `${name} shows nothing`);
    await tab.close();
  }
  if (process.env.UPDATE) writeFileSync(note, `${JSON.stringify(today, null, 2)}\n`);
  const then = JSON.parse(readFileSync(note, "utf8"));
  assert.deepEqual(then, today, "the documentation's pictures are of another version: UPDATE=1 npm --prefix tests/browser test");
});

test("a terminal's page shows every line of its transcript", async () => {
  for (const [name, words] of [["audit.png", "tags can be overwritten (MUTABLE)"], ["approve.png", "Approve this change in account 111111111111? [y/N] y"]]) {
    const tab = await browser.newPage();
    await tab.setContent(pages[name]);
    const shown = await tab.evaluate(() => document.body.innerText);
    const wide = await tab.evaluate(() => document.querySelector("pre").scrollWidth > document.querySelector("pre").clientWidth);
    await tab.close();
    assert.ok(shown.includes(words), shown);
    assert.ok(!shown.includes("\\e["), shown);
    assert.ok(!wide, `${name} is wider than 80 columns`);
  }
});

test("Slack's page shows every text of the message and nothing else", async () => {
  const message = JSON.parse(readFileSync(join(made, "slack.json"), "utf8"));
  const texts = [];
  const collect = (value, key) => {
    if (typeof value === "string" && key === "text") texts.push(value);
    else if (value && typeof value === "object") for (const [name, inner] of Object.entries(value)) collect(inner, name);
  };
  collect(message.blocks);
  collect(message.attachments);
  const tab = await browser.newPage();
  await tab.setContent(pages["slack.png"]);
  const shown = await tab.evaluate(() => document.body.innerText);
  await tab.close();
  const plain = (text) => text.replace(/\s+/g, " ").replaceAll("&amp;", "&").replaceAll("&lt;", "<").replaceAll("&gt;", ">");
  assert.ok(texts.length > 3);
  for (const text of texts) assert.ok(plain(shown).includes(plain(text)), text);
});
