// The HTML report of 5 and of 5,000 repositories in a browser: both themes, a wide and a narrow screen.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import axe from "axe-core";
import { extractText } from "unpdf";
import { launch } from "./chromium.mjs";

const root = join(import.meta.dirname, "..", "..");
const reports = join(root, "target", "reports");
const screenshots = join(root, "target", "report-screenshots");
// Rows of a table that axe looks at: all are made alike, and it takes minutes for tens of thousands.
const rowsForAxe = 50;

let browser;

before(async () => {
  execFileSync("cargo", ["run", "--quiet", "--package", "ecr-warden-core", "--example", "reports", "--", reports], {
    cwd: root,
    stdio: "inherit",
  });
  mkdirSync(screenshots, { recursive: true });
  browser = await launch();
});

after(() => browser?.close());

// Calls `look` with the open page, then checks that nothing was complained of and nothing asked for.
async function open({ size, theme = "light", width = 1200, script = true }, look) {
  const page = await browser.newPage();
  const complaints = [];
  const file = pathToFileURL(join(reports, `${size}.html`)).href;
  page.on("console", (message) => {
    if (["error", "warn"].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("request", (request) => {
    if (request.url() !== file) complaints.push(`request: ${request.url().slice(0, 200)}`);
  });
  try {
    page.setDefaultTimeout(0);
    await page.setJavaScriptEnabled(script);
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
    await page.setViewport({ width, height: 900 });
    const began = performance.now();
    await page.goto(file);
    const took = performance.now() - began;
    await look(page, took);
    assert.deepEqual(complaints, []);
  } finally {
    await page.close();
  }
}

const audit = (size) => JSON.parse(readFileSync(join(reports, `${size}.json`), "utf8"));

// Text as it can be compared: the parser drops or replaces some control characters, and white space collapses.
const plain = (text) => text.replace(/[\s\u0000-\u001f\u007f\ufffd]+/g, "");

// What the report lists: a finding that has gone by itself is not in it.
const listed = (size) =>
  audit(size)
    .findings.filter((finding) => finding.status !== "resolved")
    .map((finding) => {
      const name = /^arn:[^:]+:ecr:[^:]+:\d{12}:repository\/([a-z0-9._/-]{2,256})$/.exec(finding.repository);
      const cells = [name ? name[1] : finding.repository, finding.status, finding.detail, finding.to_do];
      return `${finding.rule} ${cells.map(plain).join(" ")}`;
    })
    .sort();

// The same, from the page. `visible`: only what can be seen.
const found = async (page, visible) => {
  const rows = await page.evaluate((visible) => {
    const rows = [];
    for (const section of document.querySelectorAll("section section")) {
      const rule = section.querySelector("h3").textContent;
      for (const row of section.querySelectorAll("tbody tr")) {
        if (visible && !row.checkVisibility({ contentVisibilityAuto: true, visibilityProperty: true, opacityProperty: true })) continue;
        const [name, status, what] = row.cells;
        const toDo = what.querySelector(".quiet");
        const text = (node) => (node ? node.textContent : "");
        const detail = [...what.childNodes].filter((node) => node !== toDo).map(text).join("");
        rows.push([rule, name.firstChild.data, text(status.querySelector(".tag")), detail, text(toDo)]);
      }
    }
    return rows;
  }, visible);
  return rows.map(([rule, ...cells]) => `${rule} ${cells.map(plain).join(" ")}`).sort();
};

// Everything that reaches beyond the window or out of its place; the matrix has a frame to scroll it in.
const overflowing = () => {
  const width = document.documentElement.clientWidth;
  const problems = [];
  if (document.documentElement.scrollWidth > width) problems.push(`the page: ${document.documentElement.scrollWidth}`);
  for (const element of document.body.querySelectorAll("*")) {
    if (element.parentElement.closest(".tall") || !element.checkVisibility()) continue;
    const { left, right } = element.getBoundingClientRect();
    const spills = element.scrollWidth > element.clientWidth + 1 && element.matches("div:not(.scroll), p, summary, h1, h2, h3, td, th, pre");
    if (left < -0.5 || right > width + 0.5 || spills) {
      problems.push(`${element.tagName} ${element.className} ${left}..${right}: ${element.textContent.slice(0, 60)}`);
    }
  }
  // A drawing clips what is outside of it.
  for (const text of document.querySelectorAll("svg text")) {
    const [inner, outer] = [text.getBoundingClientRect(), text.closest("svg").getBoundingClientRect()];
    if (inner.left < outer.left - 0.5 || inner.right > outer.right + 0.5) problems.push(`clipped: ${text.textContent}`);
  }
  return problems.slice(0, 10);
};

for (const size of [5, 5000]) {
  describe(`${size} repositories`, () => {
    for (const theme of ["light", "dark"]) {
      for (const width of [1200, 390]) {
        test(`${theme}, ${width} pixels: it fits, and axe finds nothing`, async (t) => {
          await open({ size, theme, width }, async (page, took) => {
            t.diagnostic(`loaded in ${Math.round(took)} ms`);
            assert.deepEqual(await page.evaluate(overflowing), []);
            const name = join(screenshots, `${size}-${theme}-${width}`);
            const height = await page.evaluate(() => document.documentElement.scrollHeight);
            await page.screenshot({ path: `${name}.png`, clip: { x: 0, y: 0, width, height: Math.min(height, 6000) } });

            await page.evaluate((most) => {
              for (const details of document.querySelectorAll("details")) details.open = true;
              for (const row of document.querySelectorAll("tbody tr")) if (row.sectionRowIndex >= most) row.remove();
            }, rowsForAxe);
            assert.deepEqual(await page.evaluate(overflowing), [], "with everything unfolded");
            await page.screenshot({ path: `${name}-unfolded.png`, clip: { x: 0, y: 0, width, height: 6000 } });
            await page.evaluate(axe.source);
            const { violations, passes } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations", "passes"] }));
            assert.deepEqual(
              violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary}`)}`),
              [],
            );
            assert.ok(passes.some(({ id }) => id === "color-contrast"), "contrast was looked at");
          });
        });
      }
    }

    test("without a script all findings are there, and can be seen", async () => {
      await open({ size, script: false }, async (page) => {
        assert.deepEqual(await found(page, false), listed(size));
        assert.equal(await page.$eval("#search-label", (label) => label.checkVisibility()), false, "a search would be dead");
        // Long lists are folded: a click unfolds them.
        for (const summary of await page.$$("section section > details:not([open]) > summary")) await summary.click();
        assert.deepEqual(await found(page, true), listed(size));
      });
    });

    test("the search hides other repositories, the boxes other severities", async () => {
      await open({ size }, async (page) => {
        const rows = () => page.evaluate(() => [...document.querySelectorAll("tr[data-name]:not([hidden])")].map((row) => row.dataset.name));
        const all = await rows();
        await page.type("#search", "SERVICE-4");
        const some = await rows();
        assert.ok(some.length > 0 && some.length < all.length);
        assert.deepEqual(some, all.filter((name) => name.includes("service-4")));
        await page.type("#search", "no such repository");
        assert.deepEqual(await rows(), []);
        assert.equal(await page.$$eval("section section", (all) => all.some((one) => one.checkVisibility())), false);
        await page.$eval("#search", (input) => {
          input.value = "";
          input.dispatchEvent(new Event("input"));
        });
        assert.deepEqual(await rows(), all);

        // By rule what can be seen of it: how many findings of which severities, and what the heading says.
        const sections = () =>
          page.$$eval("section section", (all) =>
            all
              .filter((one) => one.checkVisibility())
              .map((one) => {
                const rows = [...one.querySelectorAll("tbody tr")].filter((row) => getComputedStyle(row).display !== "none");
                const severities = [...new Set(rows.map((row) => row.dataset.severity))].sort();
                return { rule: one.querySelector("h3").textContent, rows: rows.length, severities, count: one.querySelector(".count").textContent };
              }),
          );
        const marks = () =>
          page.$$eval(".matrix tbody tr:not([hidden])", (rows) =>
            rows.map((row) => [...row.querySelectorAll(".mark")].filter((mark) => getComputedStyle(mark).visibility === "visible").map((mark) => mark.textContent)),
          );
        const before = await sections();
        const letters = (await marks()).flat();
        const mixed = before.find(({ severities }) => severities.length > 1);
        assert.deepEqual([mixed.rule, mixed.severities], ["weak-encryption", ["critical", "medium"]]);
        await page.click("#show-medium");
        const after = await sections();
        assert.deepEqual(after.map(({ rule }) => rule), before.filter(({ severities }) => severities.join() !== "medium").map(({ rule }) => rule));
        const number = (n) => n.toLocaleString("en-US");
        const grave = after.find(({ rule }) => rule === mixed.rule);
        assert.deepEqual(grave, { ...mixed, rows: 1, severities: ["critical"], count: `(1 of ${number(mixed.rows)})` });
        const left = await marks();
        assert.ok(left.every((row) => row.length > 0), "a repository without a mark");
        assert.deepEqual(left.flat().sort(), letters.filter((letter) => letter !== "M").sort());
        await page.click("#show-medium");
        assert.deepEqual(await sections(), before);
      });
    });

    test("a search unfolds what it finds and counts it, and folds it again", async () => {
      await open({ size }, async (page) => {
        const state = () =>
          page.$$eval("section section", (all) =>
            all.map((one) => [one.checkVisibility(), one.querySelector("details").open, one.querySelector(".count").textContent]),
          );
        const before = await state();
        await page.click("section section summary");
        await page.click("section section summary");
        await page.type("#search", "service-4");
        const rows = await page.$$eval("section section", (all) =>
          all.map((one) => [one.querySelectorAll("tr[data-name]").length, one.querySelectorAll("tr[data-name]:not([hidden])").length]),
        );
        const number = (n) => n.toLocaleString("en-US");
        (await state()).forEach(([visible, open, count], n) => {
          const [all, left] = rows[n];
          assert.deepEqual([visible, left === 0 || open, count], [left > 0, true, left < all ? `(${number(left)} of ${number(all)})` : `(${number(all)})`]);
        });
        for (let n = 0; n < "service-4".length; n += 1) await page.keyboard.press("Backspace");
        assert.deepEqual(await state(), before);
      });
    });

    test("statuses and severities are told apart without colours, and regions by name", async () => {
      await open({ size }, async (page) => {
        const tags = await page.$$eval(".findings .tag", (tags) => {
          const looks = {};
          for (const tag of tags) {
            const { borderTopStyle, borderTopWidth, fontWeight } = getComputedStyle(tag);
            looks[tag.textContent] = [borderTopStyle, borderTopWidth, fontWeight].join(" ");
          }
          return looks;
        });
        assert.deepEqual(Object.keys(tags).sort(), ["exempt", "failed", "fixed", "open", "withheld"]);
        assert.equal(new Set(Object.values(tags)).size, 5, JSON.stringify(tags));
        const marks = await page.$$eval(".matrix .mark", (marks) => [...new Set(marks.map((mark) => `${mark.textContent} ${mark.classList[1]}`))].sort());
        assert.deepEqual(marks, ["C critical", "H high", "I informational", "L low", "M medium"]);
        const legend = await page.$eval(".legend", (legend) => legend.textContent);
        for (const mark of marks) assert.ok(legend.includes(mark), mark);
        assert.match(await page.$eval("header .quiet", (line) => line.textContent), /account 123456789012 · regions eu-central-1, us-east-1/);
        const places = await page.$$eval(".matrix td.name .quiet", (all) => [...new Set(all.map((one) => one.textContent))].sort());
        assert.deepEqual(places, ["eu-central-1", "us-east-1"]);
      });
    });

    test("text from outside is text, and headings are in order", async () => {
      await open({ size }, async (page) => {
        const seen = await page.evaluate(() => {
          const count = (name) => document.querySelectorAll(name).length;
          const attributes = [...document.querySelectorAll("*")].flatMap((element) => element.getAttributeNames());
          return {
            title: document.title,
            head: document.head.querySelectorAll("style").length,
            elements: ["script", "style", "img", "iframe", "object", "embed", "link", "a", "base", "form"].map((name) => [name, count(name)]),
            handlers: attributes.filter((name) => name.startsWith("on")),
            headings: [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].map((heading) => Number(heading.tagName[1])),
          };
        });
        assert.equal(seen.title, "ECR audit, 2026-11-23 09:00 UTC");
        const some = seen.elements.filter(([, count]) => count > 0);
        assert.deepEqual(some, [["script", 1], ["style", 1]]);
        assert.equal(seen.head, 1);
        assert.deepEqual(seen.handlers, []);
        assert.equal(seen.headings[0], 1);
        seen.headings.slice(1).forEach((level, n) => assert.ok(level > 1 && level <= seen.headings[n] + 1, `${seen.headings}`));
      });
    });
  });
}

test("printed, the report has all findings", async () => {
  await open({ size: 5, theme: "dark" }, async (page) => {
    const pdf = await page.pdf({ path: join(screenshots, "5.pdf"), format: "A4" });
    const { text } = await extractText(new Uint8Array(pdf), { mergePages: true });
    const printed = plain(text);
    for (const finding of audit(5).findings) {
      if (finding.status === "resolved") continue;
      assert.ok(printed.includes(finding.rule), finding.rule);
      // Text from right to left is drawn in another order.
      if (!finding.detail.includes("\u202e")) assert.ok(printed.includes(plain(finding.detail)), finding.detail);
      assert.ok(printed.includes(plain(finding.repository.replace(/^arn:.*?:repository\//, ""))), finding.repository);
    }
  });
});

// A page of A4 with Chromium's margins of 1 cm.
const A4 = Math.floor(((210 - 20) / 25.4) * 96);

test("printed, the matrix has all columns on the page", async () => {
  await open({ size: 5, width: A4 }, async (page) => {
    await page.emulateMediaType("print");
    const seen = await page.evaluate(() => {
      const clips = [];
      for (let one = document.querySelector(".matrix").parentElement; one; one = one.parentElement) {
        if (getComputedStyle(one).overflowX !== "visible") clips.push(one.tagName);
      }
      const heads = [...document.querySelectorAll(".matrix thead th")].map((head) => {
        const [cell, text] = [head.getBoundingClientRect(), (head.querySelector("span") ?? head).getBoundingClientRect()];
        return { name: head.textContent, left: cell.left, right: cell.right, inside: text.left >= cell.left - 0.5 && text.right <= cell.right + 0.5 };
      });
      const marks = [...document.querySelectorAll(".matrix .mark")].map((mark) => {
        const [cell, own] = [mark.parentElement.getBoundingClientRect(), mark.getBoundingClientRect()];
        return own.left >= cell.left - 0.5 && own.right <= cell.right + 0.5;
      });
      return { clips, heads, marks };
    });
    assert.deepEqual(seen.clips, []);
    const rules = new Set(audit(5).findings.filter(({ status }) => status !== "resolved").map(({ rule }) => rule));
    assert.deepEqual(new Set(seen.heads.slice(1).map(({ name }) => name)), rules);
    for (const { name, left, right, inside } of seen.heads) {
      assert.ok(left >= 0 && right <= A4 && inside, `${name}: ${left}..${right}`);
    }
    assert.ok(seen.marks.length > 40 && seen.marks.every((inside) => inside));
    await page.screenshot({ path: join(screenshots, "5-print.png"), fullPage: true });
    const matrix = await page.$(".matrix");
    await matrix.screenshot({ path: join(screenshots, "5-print-matrix.png") });
  });
});
