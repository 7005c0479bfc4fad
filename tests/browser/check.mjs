// Opens a report in headless Chromium and operates it as a user would.
//
//     node check.mjs CHROMIUM report.html [FOLDER]
//
// The page must print nothing on the console, request nothing outside itself, fit a wide and a narrow window, follow the
// dark mode, and show each task when its slider is moved by keys. Without scripts it must show the last task. With FOLDER,
// screenshots are saved there.

import assert from "node:assert/strict";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [executablePath, page, folder] = process.argv.slice(2);
const address = pathToFileURL(path.resolve(page)).href;
const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});

// Opens a window on the report, and collects all its complaints and requests.
async function open(options) {
  const context = await browser.newContext(options);
  const tab = await context.newPage();
  const complaints = [];
  tab.on("console", (message) => complaints.push(`console ${message.type()}: ${message.text()}`));
  tab.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
  tab.on("request", (request) => {
    if (request.url() !== address && !request.url().startsWith("data:")) complaints.push(`request: ${request.url()}`);
  });
  await tab.goto(address);
  return { tab, complaints };
}

// Returns the tasks whose frames are visible in a stepper, without repetition.
const shown = (stepper) =>
  stepper.locator("figure div[data-task]").evaluateAll((frames) =>
    [...new Set(frames.filter((frame) => !frame.hidden).map((frame) => Number(frame.dataset.task)))]);

async function useSliders(tab) {
  const steppers = tab.locator("[data-stepper]");
  let moved = 0;
  for (const stepper of await steppers.all()) {
    if (!(await stepper.isVisible())) continue;
    const slider = stepper.locator("input[type=range]");
    const [first, last] = [Number(await slider.getAttribute("min")), Number(await slider.getAttribute("max"))];
    assert.deepEqual(await shown(stepper), [last]);
    await slider.focus();
    await tab.keyboard.press("Home");
    assert.deepEqual(await shown(stepper), [first]);
    assert.equal(await stepper.locator("output").textContent(), String(first));
    if (first < last) {
      await tab.keyboard.press("ArrowRight");
      assert.deepEqual(await shown(stepper), [first + 1]);
    }
    await tab.keyboard.press("End");
    assert.deepEqual(await shown(stepper), [last]);
    moved += 1;
  }
  assert.ok(moved > 0, "no slider is to be seen");
  return moved;
}

async function picture(tab, name, whole) {
  // Elements that stick to the window's edge are in their normal place while the page has not been scrolled.
  await tab.evaluate(() => scrollTo(0, 0));
  if (folder) await tab.screenshot({ path: path.join(folder, `${name}.png`), fullPage: whole });
}

const grounds = {};
for (const [name, width, colorScheme] of [["wide", 1280, "light"], ["narrow", 390, "light"], ["dark", 1280, "dark"]]) {
  const { tab, complaints } = await open({ viewport: { width, height: 900 }, colorScheme });
  const overflow = await tab.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `${name}: the page is ${overflow} pixels wider than the window`);
  grounds[name] = await tab.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await picture(tab, `${name}-top`, false);
  const moved = await useSliders(tab);
  const broken = await tab.locator("img").evaluateAll((images) => images.filter((image) => image.naturalWidth === 0).length);
  assert.equal(broken, 0, `${name}: ${broken} images are not to be seen`);
  // Every link of the page must lead to a section.
  for (const link of await tab.locator("nav a").all()) {
    const target = await link.getAttribute("href");
    assert.equal(await tab.locator(target).count(), 1, `${name}: ${target}`);
  }
  await picture(tab, name, true);
  assert.deepEqual(complaints, []);
  console.log(`${name}: ${moved} sliders moved by keys, nothing on the console`);
}
assert.notEqual(grounds.wide, grounds.dark);

const { tab, complaints } = await open({ javaScriptEnabled: false });
assert.equal(await tab.locator(".slider").first().isVisible(), false);
assert.ok(await tab.locator("#samples img").last().isVisible());
assert.deepEqual(complaints, []);
console.log("without scripts: the last task");
await browser.close();
