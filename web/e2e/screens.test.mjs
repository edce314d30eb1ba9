// Every page as people see it: light and dark, phone and desktop. The pictures are kept to be looked
// at; what is checked here is that nothing runs out of the page and that everything can be named.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';

import { createPerson, openBrowser, SCREENSHOTS } from './browser.mjs';
import { createCarnet } from './carnet.mjs';

const SIZES = { desktop: { width: 1280, height: 860 }, phone: { width: 390, height: 844 } };
const FILM = 'the-lantern-keeper';

let carnet;
let browser;

before(async () => {
  carnet = await createCarnet();
  await carnet.start();
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await carnet?.remove();
});

for (const [size, viewport] of Object.entries(SIZES)) {
  for (const scheme of ['light', 'dark']) {
    test(`${size}, ${scheme}`, async () => {
      const person = await createPerson(browser, carnet.url);
      await person.page.setViewport(viewport);
      await person.page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
      const look = async (name) => {
        await sleep(700);
        const path = join(SCREENSHOTS, `${name}-${size}-${scheme}.png`);
        await person.page.screenshot({ path });
        const wide = await person.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(wide <= 0, `${name} is ${wide} px too wide`);
        const nameless = await person.page.$$eval('button, a[href], video, [role="dialog"]', (all) =>
          all
            .filter((one) => !one.textContent.trim() && !one.ariaLabel && !one.querySelector('img[alt]:not([alt=""])'))
            .map((one) => one.outerHTML.slice(0, 120)),
        );
        assert.deepEqual(nameless, [], `${name} has controls without a name`);
      };

      await person.open();
      await person.see('member');
      await look('sign-in');
      await person.signIn('ben');
      await look('browse');
      await person.go(`/title/${FILM}`);
      await look('title');
      // The one before it in this test has left its copy behind: one slot, and it is taken.
      await person.download(FILM);
      const answer = await person.page.waitForSelector('[data-testid="remedy"], [data-testid="words"]');
      if ((await answer.evaluate((node) => node.dataset.testid)) === 'remedy') {
        await look('refused-elsewhere');
        await person.press('remedy');
      }
      await person.downloaded(FILM);
      await look('title-downloaded');
      await person.go('/downloads');
      await look('downloads');
      await person.watch(FILM, 1);
      await look('watch');
      await person.go('/devices');
      await person.see('device');
      await look('devices');

      // The plan keeps one download at a time: this one is too many.
      const other = await person.page.evaluate((not) => {
        location.hash = '#/';
        return not;
      }, FILM);
      await person.see('title');
      const second = await person.page.$$eval(
        '[data-testid="title"]',
        (all, not) => all.map((one) => one.dataset.title).filter((id) => id !== not),
        other,
      );
      for (const title of second) {
        await person.go(`/title/${title}`);
        await sleep(300);
        if (!(await person.page.$('[data-testid="download"]'))) continue;
        await person.press('download');
        await person.see('remedy');
        await look('refused');
        await person.press('remedy');
        await person.downloaded(title);
        break;
      }
      await person.page.goto(`${carnet.url}/docs/`);
      await person.page.waitForSelector('.opblock', { timeout: 30_000 });
      await sleep(500);
      await person.page.screenshot({ path: join(SCREENSHOTS, `docs-${size}-${scheme}.png`) });
      assert.deepEqual(person.errors, []);
      await person.close();
    });
  }
}
