import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Target } from 'cqrs-es/messaging'
import { testClock } from 'cqrs-es/testing'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startChromium } from '../../test/servers/chromium.ts'
import { patienceMs } from '../../test/strength.ts'
import { sqlite } from '../bank-account/stores.ts'
import { listen, type OpenShop } from './listen.ts'

let folder: string
let shop: OpenShop
/** Stands still until a test moves it. */
let clock: ReturnType<typeof testClock>
/** Types of the messages that a partner has received. */
let published: string[]
const partner: Target = {
  name: 'partner',
  keeps: 'order',
  most: { messages: 100, bytes: 1_000_000 },
  send: async (messages) => void published.push(...messages.map(({ type, subject }) => `${type} ${subject}`)),
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'orders-'))
  published = []
  clock = testClock('2030-01-01T00:00:00Z')
  const payments = {
    charge: async ({ amount }: { amount: number }) => (amount > 100_000 ? null : 'c-1'),
    refund: async () => 'r-1',
  }
  shop = await listen({
    openStore: sqlite(join(folder, 'orders.db')),
    port: 0,
    payments,
    partner,
    runtime: clock,
    following: { pollMs: 50 },
  })
})
afterEach(async () => {
  await shop.close()
  rmSync(folder, { recursive: true })
})

const post = (path: string, data: object) =>
  fetch(`${shop.url}${path}`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(data) })
const place = (id: string, sku: string) => post(`/order/${id}/PlaceOrder`, { customer: 'bob', lines: [{ sku, quantity: 1 }] })

describe('the API', () => {
  it('the API rejects an unknown item with its reason', async () => {
    const response = await place('o-1', 'elephant')
    expect([response.status, await response.json()]).toMatchObject([
      422,
      { reason: 'unknown-item', details: { sku: 'elephant' } },
    ])
  })

  it('the inbox stores a report once, and refuses one that is none', async () => {
    const data = { reference: 't-1', order: 'o-1', amount: 900 }
    const report = { specversion: '1.0', id: 'e-1', source: '/psp', type: 'com.psp.transfer.received.v1', data }
    const deliver = async (event: object) => {
      const response = await post('/inbox/payments', event)
      return response.ok ? ((await response.json()) as { outcome: string }).outcome : response.status
    }
    expect([await deliver(report), await deliver(report)]).toEqual(['stored', 'repeated'])
    expect(await deliver({ ...report, id: 'e-2', data: { ...data, amount: 'much' } })).toBe(400)
    expect((await shop.app.aggregates.payment.load('t-1')).sequence).toBe(1)
  })

  it.each(['/order/o-1/CancelOrder', '/stock/tea/ReserveStock', '/payment/t-1/RecordPayment', '/shipment/o-1/BookShipment'])(
    'the API does not have the command of the process %s',
    async (path) => {
      expect((await post(path, {})).status).toBe(404)
    },
  )
})

describe('the page in a browser', () => {
  let browser: Browser
  let page: Page
  /** Console messages and errors of the page. */
  let complaints: string[]

  beforeAll(async () => {
    browser = await startChromium()
  })
  afterAll(() => browser?.close())
  beforeEach(async () => {
    page = await browser.newPage()
    page.setDefaultTimeout(patienceMs)
    complaints = []
    page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`))
    page.on('pageerror', (error) => complaints.push(`${error}`))
    await page.goto(`${shop.url}/`)
  })
  afterEach(() => page.close())

  const shows = (text: string) => page.getByText(text).first().waitFor()

  it('the page places an order and shows it confirmed without a reload', async () => {
    await shows('tea: 100')
    await page.getByRole('button', { name: 'Place order' }).click()
    await page.locator('td.confirmed').waitFor()
    await shows('tea: 99')
    await shows('c-1')
    expect(complaints).toEqual([])
  })

  it('the page shows the order of another client, its deadline and its late money', async () => {
    await shows('piano: 2')
    await place('o-1', 'piano')
    const row = page.locator('#order-o-1')
    await row.getByText('placed').waitFor()
    await shows('piano: 1')
    await expect.poll(async () => (await shop.app.processes.fulfilment.load('o-1'))?.state.status).toBe('paying')
    clock.advance('15m')
    await row.getByText('canceled: not paid within 15 minutes').waitFor()
    await shows('piano: 2')
    await row.getByRole('button', { name: 'Transfer' }).click()
    await row.getByText('(sent back)').waitFor()
    await expect.poll(() => published).toEqual(['com.example.order.placed.v1 o-1', 'com.example.order.canceled.v1 o-1'])
    expect(complaints).toEqual([])
  })

  it('the page shows why an order was rejected', async () => {
    await page.getByLabel('tea').fill('0')
    await page.getByRole('button', { name: 'Place order' }).click()
    await expect.poll(() => page.locator('#answer').innerText()).toContain('lines')
  })
})
