import '@fontsource-variable/bricolage-grotesque/wght.css';
import '@fontsource-variable/instrument-sans/wght.css';
import { mount } from 'svelte';

import './app.css';
import App from './App.svelte';

const target = document.querySelector('#app');
if (target) mount(App, { target });

// Not while developing: Vite serves modules that have no fixed names.
if (import.meta.env.PROD && 'serviceWorker' in navigator) {
  navigator.serviceWorker.register('/sw.js').catch((error: unknown) => {
    console.warn('carnet: the page will not open without the server', error);
  });
}
