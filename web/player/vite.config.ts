import { createHash } from 'node:crypto';

import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin } from 'vite';

/** Where the API is while developing; `carnet demo` prints it. */
const SERVICE = 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [svelte(), shellList()],
  build: {
    target: 'es2022',
    // The files are embedded in the binary, and a data URL would need a wider content policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 2000,
    rolldownOptions: {
      input: { index: 'index.html', docs: 'docs/index.html', sw: 'src/sw.ts' },
      output: {
        entryFileNames: ({ name }) => (name === 'sw' ? 'sw.js' : 'assets/[name]-[hash].js'),
      },
    },
  },
  server: {
    proxy: Object.fromEntries(
      ['/v1', '/demo', '/media', '/.well-known', '/openapi.json'].map((path) => [path, SERVICE]),
    ),
  },
});

/** Tells the service worker what the shell consists of: all but the API browser. */
function shellList(): Plugin {
  return {
    name: 'carnet-shell-list',
    generateBundle(_options, bundle) {
      const docs = new Set<string>();
      const shell = new Set<string>(['/', '/icon.svg', '/manifest.webmanifest']);
      const chunks = Object.values(bundle).filter((file) => file.type === 'chunk');
      const visit = (name: string, into: Set<string>): void => {
        const chunk = chunks.find(({ fileName }) => fileName === name);
        if (!chunk || into.has(`/${name}`)) return;
        into.add(`/${name}`);
        for (const css of chunk.viteMetadata?.importedCss ?? []) into.add(`/${css}`);
        for (const asset of chunk.viteMetadata?.importedAssets ?? []) into.add(`/${asset}`);
        for (const next of [...chunk.imports, ...chunk.dynamicImports]) visit(next, into);
      };
      for (const chunk of chunks.filter(({ isEntry }) => isEntry)) {
        if (chunk.name === 'sw') continue;
        visit(chunk.fileName, chunk.name === 'docs' ? docs : shell);
      }
      const list = JSON.stringify([...shell].sort());
      const sources = Object.values(bundle).map((file) =>
        file.type === 'chunk' ? file.code : file.source,
      );
      const version = createHash('sha256');
      for (const source of sources) version.update(source);
      const worker = bundle['sw.js'];
      const placeholder = /["'`]__SHELL__["'`]/;
      if (worker?.type !== 'chunk' || !placeholder.test(worker.code)) {
        throw new Error('`sw.js` has no place for the list of the shell');
      }
      worker.code = worker.code
        .replace(placeholder, () => list)
        .replace('__VERSION__', version.digest('hex').slice(0, 12));
    },
  };
}
