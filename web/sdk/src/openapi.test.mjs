// What holds the SDK to the document that the service generates from its code.

import { execSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, it } from 'vitest';

const web = join(import.meta.dirname, '../..');

it('openapi.ts is what docs/api/openapi.json says; `npm run generate` writes it', { timeout: 60_000 }, () => {
  execSync('npm run --silent generate -- --check', { cwd: join(web, 'sdk'), stdio: 'pipe' });
});

it('nothing but the door calls fetch', () => {
  const allowed = [
    'sdk/src/http.ts',
    'player/src/lib/player.svelte.ts', // hands it to the SDK
    'player/src/lib/session.ts', // the demo's identity provider
    'player/src/sw.ts', // the page itself
  ];
  const files = ['sdk/src', 'player/src'].flatMap((folder) =>
    readdirSync(join(web, folder), { recursive: true }).map((name) => `${folder}/${name.replaceAll('\\', '/')}`),
  );
  const calling = files.filter(
    (path) => /\.(ts|svelte)$/.test(path) && /\bfetch\(/.test(readFileSync(join(web, path), 'utf8')),
  );
  expect(calling.sort()).toEqual(allowed.sort());
});
