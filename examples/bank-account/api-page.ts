import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { Hono } from 'hono'

/**
 * `/docs`: `/openapi.json` as a page to read and to try. Swagger UI comes from npm, so the page
 * works offline.
 */
export function apiPage(): Hono {
  const site = new Hono()
  const serve = (path: string, type: string, body: () => Content | Promise<Content>) =>
    site.get(path, async (c) => c.body(await body(), 200, { 'Content-Type': type, ...headers }))
  serve('/docs', 'text/html; charset=utf-8', () => page)
  serve('/docs/start.js', 'text/javascript; charset=utf-8', () => start)
  for (const [name, type] of Object.entries(files)) serve(`/docs/${name}`, type, () => readFile(join(swaggerUi, name)))
  return site.get('/', (c) => c.redirect('/docs'))
}

type Content = string | Uint8Array<ArrayBuffer>

const swaggerUi = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'))
const files = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-32x32.png': 'image/png',
}

const page = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>Bank account</title>
    <link rel="stylesheet" href="/docs/swagger-ui.css">
    <link rel="icon" href="/docs/favicon-32x32.png">
  </head>
  <body>
    <div id="api"></div>
    <script src="/docs/swagger-ui-bundle.js"></script>
    <script src="/docs/start.js"></script>
  </body>
</html>
`

const start = `SwaggerUIBundle({ dom_id: '#api', url: '/openapi.json', validatorUrl: null, deepLinking: true })
`

/**
 * The page runs code of this server only, and requests nothing from others. The images in the style
 * sheet are data.
 */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

const headers = { 'Content-Security-Policy': policy, 'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'no-cache' }
