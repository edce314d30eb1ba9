// The API browser: Swagger UI over the document that the service generates from its code.

import './docs.css';

const page = document.querySelector('#docs');

try {
  const [{ default: SwaggerUI }] = await Promise.all([
    import('swagger-ui-dist/swagger-ui-es-bundle.js'),
    import('swagger-ui-dist/swagger-ui.css'),
  ]);
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const follow = (): boolean => document.documentElement.classList.toggle('dark-mode', dark.matches);
  dark.addEventListener('change', follow);
  follow();
  SwaggerUI({
    domNode: page,
    url: '/openapi.json',
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    docExpansion: 'list',
    // Both would send the document to somebody else's server.
    validatorUrl: null,
    queryConfigEnabled: false,
  });
} catch (error) {
  page?.replaceChildren(`The API browser could not be loaded: ${String(error)}`);
}
