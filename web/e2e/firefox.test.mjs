// The road through Firefox: another CDM, another IndexedDB, and a permission that is asked for.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';

import { createPerson, eventually, FIREFOX, notBlack, openFirefox } from './browser.mjs';
import { createCarnet } from './carnet.mjs';

const MEMBER = 'ben';
const FILM = 'the-lantern-keeper';
const skip = existsSync(FIREFOX)
  ? false
  : `there is no browser at \`${FIREFOX}\`: \`apt-get install firefox-esr\`, or set CARNET_FIREFOX`;

test('Firefox: streams, downloads, plays with the server gone, and gives it back', { skip }, async () => {
  const carnet = await createCarnet();
  let browser;
  try {
    await carnet.start();
    browser = await openFirefox();
    const ben = await createPerson(browser, carnet.url);
    await ben.signIn(MEMBER);
    const streamed = await ben.watch(FILM, 1);
    assert.equal(streamed.from, 'stream');
    notBlack(streamed);
    await ben.download(FILM);
    await ben.downloaded(FILM);

    await carnet.kill();
    await ben.reload();
    const played = await ben.watch(FILM, 1);
    assert.equal(played.from, 'store');
    notBlack(played);
    await ben.go('/downloads');
    assert.match(await ben.text('words'), /^Finish watching within 5\d minutes/);

    await carnet.start();
    await ben.reload();
    const told = (wanted) => async () =>
      (await carnet.timeline(MEMBER)).some(({ type }) => type === wanted) ? true : undefined;
    await eventually('the play in the timeline', told('plays_recorded'));
    await ben.go('/downloads');
    await ben.press('delete');
    await ben.gone('download-row');
    await eventually('the release in the timeline', told('released'));
    assert.equal(await ben.segments(), 0);
    assert.deepEqual(ben.errors, []);
  } finally {
    await browser?.close();
    await carnet.remove();
  }
});
