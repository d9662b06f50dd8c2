import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import { serveStatic } from '@hono/node-server/serve-static'
import { Hono } from 'hono'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { root, run } from '../run.ts'
import { startChromium } from '../servers/chromium.ts'
import { isFull, patienceMs } from '../strength.ts'

const base = '/cqrs-es-ts'
const axe = readFileSync(`${root}node_modules/axe-core/axe.min.js`, 'utf8')

/** The build takes more than a tenth of the time that tests have otherwise. */
const buildPatienceMs = 3 * patienceMs

let browser: Browser
let server: ReturnType<typeof createAdaptorServer>
let origin: string

beforeAll(async () => {
  const { code, output } = await run('npm', ['run', 'docs:build'])
  expect(code, output).toBe(0)
  browser = await startChromium()
  server = createAdaptorServer(
    new Hono().get(`${base}/*`, serveStatic({ root: `${root}site/.vitepress/dist`, rewriteRequestPath: fileOf })),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}, buildPatienceMs)
afterAll(async () => {
  await browser?.close()
  server?.close()
})

/** GitHub Pages finds the file of an address without its extension. */
function fileOf(path: string): string {
  const file = path.slice(base.length)
  if (file.endsWith('/')) return `${file}index.html`
  return /\.\w+$/.test(file) ? file : `${file}.html`
}

const pages = [
  '/',
  '/tutorial/',
  '/guides/react-to-events',
  '/concepts/how-a-command-runs',
  '/reference/api/cqrs-es/interfaces/App',
]
const desktop = { width: 1280, height: 800 }
const phone = { width: 390, height: 844 }
/** By day each theme and each screen once, at full strength all pairs. */
const looks: readonly (readonly [string, BrowserContextOptions])[] = [
  ['light on a desktop', { viewport: desktop, colorScheme: 'light' }],
  ['dark on a phone', { viewport: phone, colorScheme: 'dark' }],
  ...(isFull
    ? ([
        ['dark on a desktop', { viewport: desktop, colorScheme: 'dark' }],
        ['light on a phone', { viewport: phone, colorScheme: 'light' }],
      ] as const)
    : []),
]

describe.each<readonly [string, BrowserContextOptions]>(looks)('the site, %s,', (_, options) => {
  let page: Page
  /** Errors of the page, and requests to other hosts. */
  let troubles: string[]

  beforeEach(async () => {
    const context = await browser.newContext({ ...options, reducedMotion: 'reduce' })
    page = await context.newPage()
    troubles = []
    page.on('pageerror', (error) => troubles.push(error.message))
    page.on('console', (message) => message.type() === 'error' && troubles.push(message.text()))
    page.on('request', (request) => request.url().startsWith(origin) || troubles.push(request.url()))
    page.on('response', (response) => response.status() < 400 || troubles.push(`${response.status()} ${response.url()}`))
  })
  afterEach(() => page.context().close())

  test.each(pages)('%s has no errors, foreign requests, sideways scrolling or accessibility violations', async (path) => {
    await page.goto(`${origin}${base}${path}`, { waitUntil: 'networkidle' })
    expect(await page.locator('h1').first().innerText()).not.toBe('404')
    const { scrollWidth, clientWidth } = await page.evaluate(() => ({
      scrollWidth: document.documentElement.scrollWidth,
      clientWidth: document.documentElement.clientWidth,
    }))
    expect(scrollWidth).toBeLessThanOrEqual(clientWidth)
    expect(await violationsIn(page)).toEqual([])
    expect(troubles).toEqual([])
  })

  test('the search finds a page', async () => {
    await page.goto(`${origin}${base}/`, { waitUntil: 'networkidle' })
    await page.locator('.DocSearch-Button, .VPNavBarSearch button').first().click()
    await page.locator('#localsearch-input').fill('idempotency key')
    await page.locator('.VPLocalSearchBox .result').first().waitFor()
    expect(await violationsIn(page)).toEqual([])
    await page.keyboard.press('Enter')
    await page.waitForURL(/guides|reference|concepts/)
    expect(await page.locator('main').innerText()).toMatch(/idempotency/i)
    expect(troubles).toEqual([])
  })
})

test('a diagram is drawn', async () => {
  const page = await browser.newPage()
  await page.goto(`${origin}${base}/concepts/how-a-command-runs`)
  await page.locator('.diagram svg').first().waitFor()
  await page.close()
})

test('a missing page shows 404 and a link home', async () => {
  const page = await browser.newPage()
  await page.goto(`${origin}${base}/404`)
  expect(await page.locator('main, .NotFound').first().innerText()).toContain('404')
  await page.close()
})

interface Violation {
  readonly id: string
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[]
}

/** Returns what axe finds by WCAG 2.1 A and AA, without the rule that axe leaves out by default as experimental. */
async function violationsIn(page: Page): Promise<readonly string[]> {
  await page.evaluate(axe)
  const options = {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'],
    rules: { 'label-content-name-mismatch': { enabled: false } },
  }
  const violations = (await page.evaluate(
    `axe.run(${JSON.stringify(options)}).then(({ violations }) => violations)`,
  )) as readonly Violation[]
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html}: ${failureSummary}`))
}
