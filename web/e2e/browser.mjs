// A person at a browser: presses what a person would press, and sees what is to be seen.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import puppeteer from 'puppeteer-core';

const ARTIFACTS = process.env.CARNET_ARTIFACTS ?? join(import.meta.dirname, '../../artifacts');
export const SCREENSHOTS = join(ARTIFACTS, 'screenshots');

const WAIT_MS = 60_000;

export async function openBrowser() {
  const executablePath = process.env.CARNET_CHROMIUM ?? '/usr/bin/chromium';
  if (!existsSync(executablePath)) {
    throw new Error(`there is no browser at \`${executablePath}\`: \`apt-get install chromium\`, or set CARNET_CHROMIUM`);
  }
  await mkdir(SCREENSHOTS, { recursive: true });
  const asRoot = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return puppeteer.launch({
    browser: 'chrome',
    executablePath,
    headless: true,
    args: [...asRoot, '--autoplay-policy=no-user-gesture-required', '--mute-audio'],
  });
}

export const FIREFOX = process.env.CARNET_FIREFOX ?? '/usr/bin/firefox-esr';

export async function openFirefox() {
  await mkdir(SCREENSHOTS, { recursive: true });
  return puppeteer.launch({
    browser: 'firefox',
    executablePath: FIREFOX,
    headless: true,
    extraPrefsFirefox: {
      'media.eme.enabled': true,
      // Asked for, it is downloaded from its maker, and the page may crash.
      'media.gmp-widevinecdm.enabled': false,
      'media.autoplay.default': 0,
      'media.volume_scale': '0',
    },
  });
}

/** Asks until the answer is not undefined. */
export async function eventually(what, ask) {
  for (let tries = 0; tries < 120; tries++) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    await sleep(250);
  }
  assert.fail(`this never came: ${what}`);
}

export function notBlack({ mean, spread }) {
  assert.ok(mean > 8 && spread > 20, `the picture is black: mean ${mean}, spread ${spread}`);
}

/** A person with a device of their own: nothing is shared between two of them. */
export async function createPerson(browser, url) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  const errors = [];
  page.on('pageerror', (error) => errors.push(error));
  page.on('console', (message) => {
    if (message.text().includes('Content Security Policy')) errors.push(message.text());
  });
  await page.setViewport({ width: 1280, height: 860 });
  const byTestId = (id, rest = '') => `[data-testid="${id}"]${rest}`;

  async function text(id, rest) {
    const element = await page.waitForSelector(byTestId(id, rest));
    return element.evaluate((node) => node.textContent.trim());
  }

  async function press(selector) {
    const element = await page.waitForSelector(`${selector}:not(:disabled)`, { visible: true });
    await element.click();
  }

  const go = (hash) => page.evaluate((to) => void (location.hash = to), hash);

  return {
    page,
    errors,
    text,
    go,
    open: () => page.goto(url),
    reload: () => page.reload(),
    close: () => context.close(),
    press: (id, rest) => press(byTestId(id, rest)),
    gone: (id, rest) => page.waitForSelector(byTestId(id, rest), { hidden: true }),
    see: (id, rest) => page.waitForSelector(byTestId(id, rest), { visible: true }),

    async signIn(member) {
      await page.goto(url);
      await press(byTestId('member', `[data-member="${member}"]`));
      await page.waitForSelector(byTestId('title'));
      // The page is in the browser's keeping from here on.
      await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
    },

    async download(title) {
      await go(`/title/${title}`);
      await press(byTestId('download'));
    },

    /** How many pieces of media are stored, by whichever title. */
    segments: () =>
      page.evaluate(async () => {
        const known = await indexedDB.databases();
        if (!known.some(({ name }) => name === 'shaka_offline_db')) return 0;
        const db = await new Promise((done) => {
          const opening = indexedDB.open('shaka_offline_db');
          opening.onsuccess = () => done(opening.result);
        });
        const counting = db.transaction('segment-v5').objectStore('segment-v5').count();
        await new Promise((done) => (counting.onsuccess = done));
        db.close();
        return counting.result;
      }),

    async downloaded(title) {
      await page.waitForSelector(`${byTestId('download-row', `[data-title="${title}"]`)} ${byTestId('words')}`);
    },

    /** What is to be seen and where it comes from, after the picture has moved by `seconds`. */
    async watch(title, seconds = 3) {
      await go(`/watch/${title}`);
      const shown = await page.waitForSelector(`${byTestId('from')}, ${byTestId('trouble')}`);
      const trouble = await shown.evaluate((node) => (node.dataset.testid === 'trouble' ? node.textContent : ''));
      if (trouble) throw new Error(`\`${title}\` does not play: ${trouble}`);
      const from = await shown.evaluate((node) => node.dataset.from);
      const begun = await page.$eval('video', (video) => video.currentTime);
      await page.waitForFunction(
        (until) => document.querySelector('video').currentTime > until,
        {},
        begun + seconds,
      );
      return { from, ...(await picture(page)) };
    },
  };
}

/**
 * How bright the picture is and how much it differs from place to place, 0 to 255. Of a protected
 * video a canvas gets black frames, so it is the screen that is looked at.
 */
async function picture(page) {
  const clip = await page.$eval('video', (video) => {
    const { x, y, width, height } = video.getBoundingClientRect();
    // The controls lie at the lower edge, and bars of black at the upper one.
    return { x: x + width / 4, y: y + height / 4, width: width / 2, height: height / 2 };
  });
  const png = await page.screenshot({ clip, encoding: 'base64' });
  return page.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes], { type: 'image/png' }));
    const canvas = new OffscreenCanvas(64, 36);
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    const luminances = [];
    for (let at = 0; at < data.length; at += 4) {
      luminances.push(0.2126 * data[at] + 0.7152 * data[at + 1] + 0.0722 * data[at + 2]);
    }
    const mean = luminances.reduce((sum, one) => sum + one, 0) / luminances.length;
    return { mean, spread: Math.max(...luminances) - Math.min(...luminances) };
  }, png);
}
