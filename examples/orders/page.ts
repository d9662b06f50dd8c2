import { readFile } from 'node:fs/promises'
import { Hono } from 'hono'
import { catalog } from './catalog.ts'

/** The live page: `page.html` and its script. It loads nothing from other servers. */
export function page(): Hono {
  const site = new Hono()
  const serve = (path: string, name: string, type: string) =>
    site.get(path, async (c) =>
      c.body(await readFile(new URL(name, import.meta.url)), 200, { 'Content-Type': `${type}; charset=utf-8`, ...headers }),
    )
  serve('/', 'page.html', 'text/html')
  serve('/page.js', 'page.js', 'text/javascript')
  return site.get('/catalog', (c) => c.json(catalog))
}

const headers = {
  'Content-Security-Policy':
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Cache-Control': 'no-cache',
}
