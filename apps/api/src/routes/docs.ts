import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { AppError } from '@berth/domain';
import type { OpenAPIHono } from '@hono/zod-openapi';

const INFO = {
  title: 'Berth',
  version: '1',
  description:
    'Jobs in, each run in a container of its own, outcome and output back. Errors are problem+json, RFC 9457.',
};

/** Either will do; where no key has been made, none is needed on this machine. */
const SCHEMES = {
  bearer: { type: 'http', scheme: 'bearer' },
  header: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
} as const;

const toPage = (path: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Berth API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="icon" href="data:,">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="${path}/start.js"></script>
</body>
</html>
`;

const toStart = (contract: string): string => `SwaggerUIBundle({
  url: '${contract}',
  dom_id: '#swagger-ui',
  validatorUrl: null,
});
`;

/** Nothing is loaded from anywhere else, and nothing is sent there. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const ASSETS: Record<string, string> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
};

const require = createRequire(import.meta.url);
const assetFolder = (): string => dirname(require.resolve('swagger-ui-dist/package.json'));

const answer = (body: string, type: string): Response =>
  new Response(body, { headers: { 'content-type': type, 'content-security-policy': POLICY } });

export const answerContract = (json: string): Response => answer(json, 'application/json');

/** A page to read and try the contract at a path. */
export const addDocsPage = (app: OpenAPIHono, path: string, contract: string): void => {
  app.get(path, () => answer(toPage(path), 'text/html; charset=utf-8'));
  app.get(`${path}/start.js`, () => answer(toStart(contract), 'text/javascript; charset=utf-8'));
};

/** The contract at /openapi.json, and a page to read and try it, served from this process alone. */
export const addDocsRoutes = (app: OpenAPIHono): void => {
  let contract: string | undefined;
  const registry = app.openAPIRegistry;
  for (const [name, scheme] of Object.entries(SCHEMES)) registry.registerComponent('securitySchemes', name, scheme);
  const security = [...Object.keys(SCHEMES).map((name) => ({ [name]: [] })), {}];
  const toContract = () => JSON.stringify(app.getOpenAPI31Document({ openapi: '3.1.0', info: INFO, security }));

  app.get('/openapi.json', () => {
    contract ??= toContract();
    return answerContract(contract);
  });
  addDocsPage(app, '/docs', '/openapi.json');
  app.get('/docs/:asset', async (c) => {
    const name = c.req.param('asset');
    const type = Object.hasOwn(ASSETS, name) ? ASSETS[name] : undefined;
    if (type === undefined) throw new AppError('not_found', 'There is nothing here.');
    return answer(await readFile(join(assetFolder(), name), 'utf8'), type);
  });
};
