// The pages in a real browser, over the demo organisation: what a new user does first, and that every page is readable
// by everybody, in light and dark, on a small screen, without an error or a violated policy.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";

const root = resolve(import.meta.dirname, "../..");
const tools = createRequire(join(process.env.WASTEWALK_BROWSER ?? join(root, ".tools/browser"), "package.json"));
const { chromium } = tools("playwright-core");
const axe = tools("axe-core").source;
const pictures = join(root, "target/pages");

let server, browser, data, base;

/// A Chromium: the one that is named, the machine's own, or the one that is installed with these tests.
async function executable() {
  const known = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/google-chrome"].filter(Boolean);
  const found = known.find((path) => existsSync(path));
  const packed = async () => (await import(tools.resolve("@sparticuz/chromium"))).default.executablePath();
  // The package's own arguments are left out: they run everything in one process, which ends when a context is closed.
  return { executablePath: found ?? (await packed()), args: ["--no-sandbox", "--disable-gpu"] };
}

function freePort() {
  return new Promise((done, failed) => {
    const probe = createServer().once("error", failed);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => done(port));
    });
  });
}

before(async () => {
  mkdirSync(pictures, { recursive: true });
  data = mkdtempSync(join(tmpdir(), "wastewalk-browser-"));
  const port = await freePort();
  base = `http://127.0.0.1:${port}`;
  const program = process.env.WASTEWALK_PROGRAM ?? join(root, "target/debug/wastewalk");
  const environment = { ...process.env, RUST_LOG: "error" };
  const run = (...options) => {
    const ran = spawnSync(program, [...options, "--quiet", "--data", data], { env: environment, encoding: "utf8" });
    assert.equal(ran.status, 0, ran.stderr);
  };
  // Three months by the built-in logic; then it is said of one more kind of work that a machine could do it, and the days
  // from 14 September on are computed again.
  run("up", "--once");
  const judgements = readFileSync(join(root, "functions/annotate-classify/classification.toml"), "utf8");
  const classification = join(data, "tests.toml");
  writeFileSync(classification, `${judgements}\n[stereotypes."exploratory-test"]\nautomatable = true\n`);
  run("rewind", "--from", "2026-09-14", "--classification", classification);
  const serve = ["up", "--quiet", "--port", String(port), "--data", data, "--classification", classification];
  server = spawn(program, serve, { env: environment, stdio: "inherit" });
  for (;;) {
    assert.equal(server.exitCode, null, "wastewalk ended before it served anything");
    const answer = await fetch(`${base}/v1/health`).catch(() => null);
    if (answer?.ok && (await answer.json()).newest_day) break;
    await new Promise((done) => setTimeout(done, 200));
  }
  browser = await chromium.launch(await executable());
});

after(async () => {
  await browser?.close();
  if (server && server.exitCode === null) {
    const ended = new Promise((done) => server.once("exit", done));
    server.kill("SIGTERM");
    await ended;
  }
  if (data) rmSync(data, { recursive: true, force: true });
});

/// A page on which anything that the browser complains about fails the test.
async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("requestfailed", (request) => complaints.push(`${request.url()} failed`));
  const quiet = (where) => assert.deepEqual(complaints, [], where);
  return { context, page, quiet };
}

/// Seconds of `h:mm:ss`, as pages write what is exact.
function seconds(text) {
  const [hours, minutes, rest] = text.trim().replaceAll(",", "").split(":").map(Number);
  return hours * 3600 + minutes * 60 + rest;
}

test("a new user comes from the overview to the activities, which add up to the figure", async () => {
  const { context, page, quiet } = await open();
  await page.goto(`${base}/`);
  assert.match(await page.locator("h1").innerText(), /% of the work is waste/);
  assert.equal(await page.locator(".findings > article").count(), 4, "few findings first");

  // The first finding leads to the figure behind it.
  const finding = await page.locator(".findings h2").first().innerText();
  assert.match(finding, /^Platform team: 147\.2 h a sprint automatable/);
  await page.locator(".findings h2 a").first().click();
  assert.match(page.url(), /\/insights\/automatable\?scope=team:1/);
  assert.equal(await page.locator("h1").innerText(), "Automatable effort");
  const counted = await page.locator(".facts dd").first().innerText();
  const figure = seconds(counted.match(/\(([\d,:]+), [\d,]+ s\)/)[1]);
  assert.equal(figure, 3_444_480);

  // Its kinds of work add up to it.
  const kinds = await page.locator(".parts tbody td:nth-child(2)").allInnerTexts();
  assert.equal(kinds.map(seconds).reduce((a, b) => a + b, 0), figure);

  // And so do its activities, page by page; the running sum goes on.
  await page.getByRole("link", { name: "the activities" }).first().click();
  let sum = 0;
  for (let pages = 1; ; pages += 1) {
    assert.ok(pages < 100, "the pages do not end");
    for (const value of await page.locator("td.value").allInnerTexts()) sum += seconds(value);
    assert.equal(seconds(await page.locator("tbody tr:last-child td:last-child").innerText()), sum);
    const next = page.getByRole("link", { name: /^Next/ });
    if ((await next.count()) === 0) break;
    await next.click();
  }
  assert.equal(sum, figure);
  assert.match(await page.locator(".lede").innerText(), /956:48:00.*: the figure, exactly/);

  // And the way back.
  await page.getByRole("navigation", { name: "Where you are" }).getByRole("link", { name: "Platform team" }).click();
  assert.match(await page.locator("h1").innerText(), /Platform team/);
  quiet("the first five minutes");
  await context.close();
});

test("everything works by keyboard and the address is the whole state", async () => {
  const { context, page, quiet } = await open();
  await page.goto(`${base}/`);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "content");

  await page.locator("select[name=scope]").selectOption("team:2");
  await page.locator("input[name=from]").fill("2026-09-01");
  await page.locator("button").focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(/scope=team%3A2&from=2026-09-01/);
  const said = await page.locator("main").innerText();
  await page.goto(page.url());
  assert.equal(await page.locator("main").innerText(), said, "the same address, the same page");
  quiet("by keyboard");
  await context.close();
});

test("a trend is drawn by months where it is asked for, and a sprint has a page", async () => {
  const { context, page, quiet } = await open();
  await page.goto(`${base}/insights/waste?granularity=month`);
  assert.match(await page.locator(".trend").first().innerHTML(), /Aug 2026/);
  await page.goto(`${base}/?scope=sprint:101`);
  assert.match(await page.locator("h1").innerText(), /the work of .*sprint/);
  quiet("other pages");
  await context.close();
});

/// Adds up a column over all pages of a list.
async function total(page, cells) {
  let sum = 0;
  for (let pages = 1; ; pages += 1) {
    assert.ok(pages < 100, "the pages do not end");
    for (const value of await page.locator(cells).allInnerTexts()) sum += seconds(value.replace("+", ""));
    const next = page.getByRole("link", { name: /^Next/ });
    if ((await next.count()) === 0) return sum;
    await next.click();
  }
}

test("a trend marks where its logic changed, and leads to what the rule did and to what flipped", async () => {
  const { context, page, quiet } = await open();
  await page.goto(`${base}/insights/automatable?granularity=week`);
  const trend = page.locator("svg.trend").first();
  assert.match(await trend.innerHTML(), /logic changed/);
  assert.equal(await trend.locator(".curve").count(), 2, "both curves");
  assert.match(await page.locator(".changes").innerText(), /From 14 Sep on .*classify: its configuration changed/);

  await page.getByRole("link", { name: "Compare the two" }).click();
  assert.match(page.url(), /\/compare\?scope=org&logic=[0-9a-f]{12}&with=[0-9a-f]{12}/);
  assert.match(await page.locator("h1").innerText(), /h more in “Automatable effort”: all of it by the rule/);
  assert.match(await page.locator(".notice").innerText(), /30 days cannot be compared[^]*wastewalk rewind --from 2026-08-03/);
  assert.match(await page.locator(".say-list").innerText(), /because the rule changed, nothing because of the data/);
  assert.equal(await page.locator("select[name=logic] option").count(), 2);

  // The activities that flipped are the effect of the rule, exactly; so are their kinds.
  await page.getByRole("link", { name: "The activities that flipped in Automatable effort" }).click();
  const said = seconds((await page.locator("#flips > .quiet b").innerText()).replace("+", ""));
  assert.ok(said > 0);
  const kinds = await page.locator("#flips tbody").first().locator("td.value").allInnerTexts();
  assert.equal(kinds.map((value) => seconds(value.replace("+", ""))).reduce((a, b) => a + b, 0), said);
  await page.screenshot({ path: join(pictures, "flips-light.png"), fullPage: true });
  assert.equal(await total(page, "#flips .activities td.value"), said);

  // And they are rows that one can look at.
  await page.getByRole("link", { name: /^Rows of .*, new logic$/ }).first().click();
  assert.match(await page.locator("h1").innerText(), /The activities behind “Automatable effort”/);
  assert.match(await page.locator(".lede").innerText(), /the figure, exactly/);
  quiet("a comparison");
  await context.close();
});

test("a figure is followed to its objects, runs and rules, whose days add up to it", async () => {
  const { context, page, quiet } = await open();
  await page.goto(`${base}/insights/late-planning?scope=team:4`);
  const counted = await page.locator(".facts dd").first().innerText();
  const figure = seconds(counted.match(/\(([\d,:]+), [\d,]+ s\)/)[1]);
  await page.getByRole("link", { name: "its objects, runs and rules" }).click();
  assert.match(await page.locator("h1").innerText(), /Where “Late planning” comes from/);
  assert.match(await page.locator("main").innerText(), /Version 1: /);
  await page.locator("summary", { hasText: "Show the key" }).first().click();
  assert.match(await page.locator(".origins tbody tr").first().innerText(), /activities\/date=2026-08-03\/gen=\w+\/sha256=[0-9a-f]{64}\//);
  assert.equal(await total(page, ".origins td.value"), figure);
  assert.match(await page.locator(".lede").innerText(), /the figure, exactly/);
  quiet("a lineage");
  await context.close();
});

async function addresses() {
  const insights = (await (await fetch(`${base}/v1/insights`)).json()).insights.map(({ id }) => id);
  return [
    ["overview", "/"],
    ["team", "/?scope=team:2"],
    ["sprint", "/?scope=sprint:101"],
    ["person", "/?scope=person:11"],
    ["nothing-then", "/?to=2020-01-01"],
    ["quality", "/quality"],
    ["compare", "/compare"],
    ["compare-flips", "/compare?insight=automatable&limit=10&from=2026-09-14"],
    ["logics", "/logics"],
    ["lineage", "/lineage?insight=waste&scope=team:1"],
    ["activities", "/insights/late-planning/activities"],
    ["team-waste", "/insights/waste?scope=team:1"],
    ["person-juggling", "/insights/juggling?scope=person:11"],
    ...insights.map((id) => [`insight-${id}`, `/insights/${id}`]),
  ];
}

const screens = {
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  phone: { colorScheme: "light", viewport: { width: 360, height: 780 } },
  small: { colorScheme: "light", viewport: { width: 320, height: 800 } },
};

for (const [screen, options] of Object.entries(screens)) {
  test(`every page is accessible and quiet: ${screen}`, async () => {
    const { context, page, quiet } = await open(options);
    for (const [name, address] of await addresses()) {
      const answer = await page.goto(base + address);
      assert.equal(answer.status(), 200, address);
      await page.screenshot({ path: join(pictures, `${name}-${screen}.png`), fullPage: true });
      // What is folded away must be readable, too.
      await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(wide <= 0, `${address} is ${wide} px too wide`);
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => window.axe.run());
      const said = violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`));
      assert.deepEqual(said, [], address);
      quiet(address);
    }
    await context.close();
  });
}

test("a page of printed paper shows what is folded away on the screen", async () => {
  const { context, page, quiet } = await open();
  await page.emulateMedia({ media: "print" });
  await page.goto(`${base}/insights/waste`);
  assert.ok(await page.locator("details table").first().isVisible(), "a table is still folded away");
  assert.ok(!(await page.locator("form").isVisible()));
  quiet("print");
  await context.close();
});

test("the API keeps what its description says, whatever it is asked", () => {
  const schemathesis = process.env.WASTEWALK_SCHEMATHESIS ?? join(root, ".tools/schemathesis/bin/st");
  // A schema cannot say that a range must not be empty, or who there is: such questions are rightly refused.
  const options = ["--exclude-checks", "positive_data_acceptance", "--max-examples", "15", "--seed", "1", "--no-color"];
  const ran = spawnSync(schemathesis, ["run", `${base}/openapi.json`, ...options], { encoding: "utf8", cwd: data });
  assert.equal(ran.status, 0, ran.stdout + ran.stderr);
});
