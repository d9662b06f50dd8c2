import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OpenApiDocument } from 'cqrs-es/http'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startChromium } from '../../test/servers/chromium.ts'
import { patienceMs } from '../../test/strength.ts'
import { listen } from './listen.ts'
import { sqlite } from './stores.ts'

let folder: string
let server: Awaited<ReturnType<typeof listen>>

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'bank-'))
  server = await listen({ openStore: sqlite(join(folder, 'bank.db')), port: 0 })
})
afterEach(async () => {
  await server.close()
  rmSync(folder, { recursive: true })
})

const get = (path: string) => fetch(`${server.url}${path}`, { redirect: 'manual' })

describe('/docs', () => {
  it('/ redirects to /docs', async () => {
    const { status, headers } = await get('/')
    expect([status, headers.get('location')]).toEqual([302, '/docs'])
  })

  it.each([
    ['', 'text/html; charset=utf-8'],
    ['/start.js', 'text/javascript; charset=utf-8'],
    ['/swagger-ui.css', 'text/css; charset=utf-8'],
    ['/swagger-ui-bundle.js', 'text/javascript; charset=utf-8'],
    ['/favicon-32x32.png', 'image/png'],
  ])('/docs%s is served locally and may load nothing from elsewhere', async (path, type) => {
    const response = await get(`/docs${path}`)
    expect([response.status, response.headers.get('content-type')]).toEqual([200, type])
    expect(response.headers.get('content-security-policy')).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self';/)
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
    expect((await response.arrayBuffer()).byteLength).toBeGreaterThan(50)
  })

  it.each([
    'package.json',
    'index.html',
    'swagger-ui-bundle.js.map',
    '../package.json',
    '..%2Fpackage.json',
    '%2e%2e/package.json',
    'swagger-ui.css/../package.json',
    'swagger-ui.css%00',
    '//swagger-ui.css',
  ])('/docs serves no other file of its folder: %s', async (path) => {
    const response = await get(`/docs/${path}`)
    expect([400, 404]).toContain(response.status)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
  })
})

describe('the page in a browser', () => {
  let browser: Browser
  let page: Page
  /** Console messages and errors of the page. */
  let complaints: string[]
  /** The requests of the page. */
  let requests: string[]

  beforeAll(async () => {
    browser = await startChromium()
  })
  afterAll(() => browser?.close())

  beforeEach(async () => {
    page = await browser.newPage()
    page.setDefaultTimeout(patienceMs)
    complaints = []
    requests = []
    page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`))
    page.on('pageerror', (error) => complaints.push(`${error}`))
    page.on('request', (request) => requests.push(request.url()))
  })
  afterEach(() => page.close())

  const operation = (method: string, path: string) =>
    page.locator(`.opblock-${method}`, { has: page.locator(`.opblock-summary-path[data-path="${path}"]`) })

  /** Sends a request from the page, by mouse and keyboard. */
  async function execute(method: string, path: string, id: string, data?: object) {
    const block = operation(method, path)
    await block.locator('.opblock-summary').click()
    await block.getByRole('button', { name: 'Try it out' }).click()
    await block.locator('[data-param-name="id"] input').fill(id)
    if (data !== undefined) await block.locator('textarea.body-param__text').fill(JSON.stringify(data))
    await block.getByRole('button', { name: 'Execute' }).click()
    const answer = block.locator('.live-responses-table .response')
    return { status: await answer.locator('.response-col_status').innerText(), text: await answer.innerText() }
  }

  it('the page shows every operation and executes it', async () => {
    await page.goto(`${server.url}/`)
    await operation('post', '/account/{id}/OpenAccount').waitFor()
    expect(page.url()).toBe(`${server.url}/docs`)
    const { info, paths } = (await (await get('/openapi.json')).json()) as OpenApiDocument
    expect(await page.locator('.info .title').innerText()).toContain(info.title)
    const described = Object.entries(paths).flatMap(([path, operations]) =>
      Object.keys(operations).flatMap((method) => (method === 'parameters' ? [] : `${method} ${path}`)),
    )
    const shown = await page.locator('.opblock').evaluateAll((blocks) =>
      blocks.map((block) => {
        const path = block.querySelector('.opblock-summary-path')?.getAttribute('data-path')
        return `${block.querySelector('.opblock-summary-method')?.textContent?.toLowerCase()} ${path}`
      }),
    )
    expect([...shown].sort()).toEqual([...described].sort())

    const opened = await execute('post', '/account/{id}/OpenAccount', 'acct-1', { owner: 'ann' })
    expect(opened.status).toContain('200')
    expect(opened.text).toContain('"type": "AccountOpened"')
    const deposited = await execute('post', '/account/{id}/DepositMoney', 'acct-1', { amount: 5 })
    expect(deposited.status).toContain('200')
    expect(deposited.text).toContain('"balance": 5')
    const view = await execute('get', '/views/accounts/{id}', 'acct-1')
    expect(view.text).toContain('"owner": "ann"')
    expect(complaints).toEqual([])

    const refused = await execute('post', '/account/{id}/WriteCheck', 'acct-1', { check: '1170', amount: 50 })
    expect(refused.status).toContain('422')
    expect(refused.text).toContain('insufficient-funds')
    expect(requests.length).toBeGreaterThan(8)
    expect(requests.filter((url) => !url.startsWith(`${server.url}/`) && !url.startsWith('data:'))).toEqual([])
  })
})
