// Signing in at a real OpenID Connect provider with a real browser, and what people with different roles then see; and a
// program with a token of that provider.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";

const root = resolve(import.meta.dirname, "../..");
const installed = (folder) => createRequire(join(folder, "package.json"));
const tools = installed(process.env.WASTEWALK_BROWSER ?? join(root, ".tools/browser"));
const provided = installed(process.env.WASTEWALK_PROVIDER ?? join(root, ".tools/provider"));
const { chromium } = tools("playwright-core");
const axe = tools("axe-core").source;
const { default: Provider } = await import(pathToFileURL(provided.resolve("oidc-provider")));
const pictures = join(root, "target/pages");

const AUDIENCE = "https://wastewalk.example.com/api";
// Whoever the provider knows, by their login, which is their id in the source.
const PEOPLE = {
  11: { name: "Alex <b>Brandt</b>", roles: ["member"] },
  head: { name: "Head of engineering", roles: ["analyst"] },
  visitor: { name: "Visitor", roles: ["guest"] },
};

let provider, wastewalk, data, base, issuer;

/// A Chromium: the one that is named, the machine's own, or the one that is installed with the pages' tests.
async function executable() {
  const known = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/google-chrome"].filter(Boolean);
  const found = known.find((path) => existsSync(path));
  if (found) return { executablePath: found, args: ["--no-sandbox"] };
  const packed = (await import(tools.resolve("@sparticuz/chromium"))).default;
  return { executablePath: await packed.executablePath(), args: [...packed.args, "--no-sandbox"] };
}

/// Listens on a free port and says where.
function listen(server) {
  return new Promise((done, failed) => {
    server.once("error", failed).listen(0, "127.0.0.1", () => done(`http://127.0.0.1:${server.address().port}`));
  });
}

async function freeAddress() {
  const probe = createServer();
  const address = await listen(probe);
  await new Promise((done) => probe.close(done));
  return address;
}

function start(redirect) {
  const account = (_, id) => PEOPLE[id] && { accountId: id, claims: () => ({ sub: id, ...PEOPLE[id] }) };
  return new Provider(issuer, {
    clients: [
      { client_id: "wastewalk", client_secret: "hush", redirect_uris: [redirect] },
      { client_id: "robot", client_secret: "beep", redirect_uris: [], response_types: [], grant_types: ["client_credentials"] },
    ],
    claims: { openid: ["sub", "roles"], profile: ["name"] },
    conformIdTokenClaims: false,
    cookies: { keys: [randomBytes(16).toString("hex")] },
    extraTokenClaims: (_, token) => (token.kind === "ClientCredentials" ? { roles: ["analyst"] } : undefined),
    features: {
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: () => ({ scope: "", audience: AUDIENCE, accessTokenFormat: "jwt" }),
      },
    },
    findAccount: account,
    pkce: { required: () => true },
  });
}

before(async () => {
  mkdirSync(pictures, { recursive: true });
  data = mkdtempSync(join(tmpdir(), "wastewalk-access-"));
  base = await freeAddress();
  const server = createServer((request, response) => provider.callback()(request, response));
  issuer = await listen(server);
  provider = start(`${base}/sign-in/callback`);
  provider.server = server;
  const program = process.env.WASTEWALK_PROGRAM ?? join(root, "target/debug/wastewalk");
  const env = {
    ...process.env,
    RUST_LOG: "error",
    OIDC_ISSUER: issuer,
    OIDC_CLIENT_ID: "wastewalk",
    OIDC_CLIENT_SECRET: "hush",
    OIDC_AUDIENCE: AUDIENCE,
  };
  const options = ["up", "--quiet", "--sign-in", "--port", new URL(base).port, "--data", data];
  wastewalk = spawn(program, options, { env, stdio: "inherit" });
  for (;;) {
    assert.equal(wastewalk.exitCode, null, "wastewalk ended before it served anything");
    const answer = await fetch(`${base}/v1/health`).catch(() => null);
    if (answer?.status === 401) break;
    await new Promise((done) => setTimeout(done, 200));
  }
});

after(async () => {
  if (wastewalk && wastewalk.exitCode === null) {
    const ended = new Promise((done) => wastewalk.once("exit", done));
    wastewalk.kill("SIGTERM");
    await ended;
  }
  provider?.server.closeAllConnections();
  provider?.server.close();
  if (data) rmSync(data, { recursive: true, force: true });
});

/// A browser of one's own, with a process of its own: one that knows nobody. What it complains about on our pages fails the test.
async function open() {
  const browser = await chromium.launch(await executable());
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 } });
  const page = await context.newPage();
  const complaints = [];
  const ours = () => page.url().startsWith(base);
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && ours()) complaints.push(message.text());
  });
  page.on("pageerror", (error) => ours() && complaints.push(String(error)));
  // A page that refuses is answered with its status, which the browser reports as well.
  const quiet = () => assert.deepEqual(complaints.filter((text) => !/status of 40[13]/.test(text)), []);
  return { context, page, quiet, close: () => browser.close() };
}

/// Goes to a page of ours, signs in where the provider asks for it, and comes back.
async function signIn(page, login, path = "/") {
  await page.goto(base + path);
  assert.ok(page.url().startsWith(issuer), `sent to the provider, not to ${page.url()}`);
  await page.locator("input[name=login]").fill(login);
  await page.locator("input[name=password]").fill("anything");
  await page.locator("button[type=submit]").click();
  await page.locator("input[name=prompt][value=consent]").waitFor({ state: "attached" });
  await page.locator("button[type=submit]").click();
  await page.waitForURL((url) => url.href.startsWith(base));
}

const session = async (context) => (await context.cookies(base)).find(({ name }) => name === "wastewalk");

test("a member comes back to the page that they asked for, sees what is theirs, and signs out", async () => {
  const { context, page, quiet, close } = await open();
  await signIn(page, "11", "/insights/waste?scope=team:1&granularity=month");
  assert.equal(page.url(), `${base}/insights/waste?scope=team:1&granularity=month`);
  // Their name is theirs, and text.
  assert.match(await page.locator(".who").innerText(), /Signed in as Alex <b>Brandt<\/b>\. Groups of fewer than 5 people are hidden/);
  const cookie = await session(context);
  assert.ok(cookie.httpOnly && cookie.sameSite === "Lax");
  const sealed = Buffer.from(decodeURIComponent(cookie.value), "base64").toString("latin1");
  assert.ok(sealed.length > 100 && !/grant|person|member/.test(sealed + cookie.value), "what it says is encrypted");
  assert.ok(!(await context.cookies(base)).some(({ name }) => name === "wastewalk-sign-in"), "the attempt is over");
  await page.screenshot({ path: join(pictures, "signed-in.png") });
  await page.getByRole("link", { name: "your own work" }).click();
  assert.match(page.url(), /scope=person:11/);
  assert.equal((await page.goto(`${base}/?scope=person:12`)).status(), 403);
  assert.match(await page.locator("h1").innerText(), /too few people/);
  assert.equal((await page.goto(`${base}/v1/insights?scope=team:1`)).status(), 200, "the same as data");
  await page.goto(`${base}/`);
  quiet();
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL(`${base}/signed-out`);
  assert.equal(await page.locator("h1").innerText(), "You are signed out");
  assert.equal(await session(context), undefined);
  await page.evaluate(axe);
  assert.deepEqual((await page.evaluate(() => window.axe.run())).violations.map(({ id }) => id), []);
  quiet();
  // The old cookie is gone from the browser; without it there is no page.
  const answer = await fetch(`${base}/?scope=team:1`, { redirect: "manual" });
  assert.equal(answer.status, 303);
  assert.equal(answer.headers.get("location"), "/sign-in?to=%2F%3Fscope%3Dteam:1");
  await close();
});

test("an analyst sees everybody", async () => {
  const { page, quiet, close } = await open();
  await signIn(page, "head", "/?scope=person:12");
  assert.equal(page.url(), `${base}/?scope=person:12`);
  assert.match(await page.locator(".who").innerText(), /Signed in as Head of engineering\./);
  quiet();
  await close();
});

test("whoever has no role, and whoever gives up, is let in nowhere", async () => {
  for (const leave of [false, true]) {
    const { context, page, quiet, close } = await open();
    if (leave) {
      await page.goto(`${base}/`);
      await page.getByRole("link", { name: /cancel/i }).click();
    } else {
      await signIn(page, "visitor");
    }
    assert.equal(await page.locator("h1").innerText(), leave ? "You were not signed in" : "You have no role here");
    assert.equal(await session(context), undefined);
    quiet();
    await close();
  }
});

test("a program asks with a token of the provider, and with no other", async () => {
  const answer = await fetch(`${issuer}/token`, {
    method: "POST",
    headers: { authorization: `Basic ${btoa("robot:beep")}`, "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ grant_type: "client_credentials", resource: AUDIENCE }),
  });
  const { access_token: token } = await answer.json();
  const status = async (token) => {
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    return (await fetch(`${base}/v1/insights?scope=person:12`, { headers })).status;
  };
  assert.equal(await status(token), 200);
  assert.equal(await status(), 401);
  assert.equal(await status(`${token.slice(0, -6)}AAAAAA`), 401);
  const [head, claims, signature] = token.split(".");
  const other = { ...JSON.parse(Buffer.from(claims, "base64url")), sub: "somebody" };
  assert.equal(await status([head, Buffer.from(JSON.stringify(other)).toString("base64url"), signature].join(".")), 401);
  const none = Buffer.from(JSON.stringify({ alg: "none" })).toString("base64url");
  assert.equal(await status(`${none}.${claims}.`), 401);
});
