import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bundledProgram } from '../../test/program.ts'
import { serverUrl } from '../../test/servers/ask.ts'
import { unselected } from '../../test/servers/stores.ts'
import { patienceMs } from '../../test/strength.ts'
import { localToken } from '../serverless-bank/local/tokens.ts'
import type { OrderView } from './views.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

describe.skipIf(unselected('dynamodb'))('npm run orders:lambda', () => {
  let child: ChildProcess
  let url: string
  const texts = { out: '', err: '' }
  let closed: Promise<unknown[]>

  beforeAll(async () => {
    const env = { DYNAMODB_ENDPOINT: await serverUrl('dynamodb'), TABLES: `orders-${process.pid}` }
    const program = await bundledProgram(join(root, 'examples/orders/lambda.ts'))
    const started = spawn(process.execPath, [program], {
      cwd: root,
      env: { ...process.env, PORT: '0', NODE_NO_WARNINGS: '1', ...env },
    })
    child = started
    started.stdout.setEncoding('utf8').on('data', (text) => (texts.out += text))
    started.stderr.setEncoding('utf8').on('data', (text) => (texts.err += text))
    closed = once(started, 'close')
    while (!texts.out.includes('/views/orders')) {
      await Promise.race([once(started.stdout, 'data'), closed])
      if (started.exitCode !== null) throw new Error(texts.out + texts.err)
    }
    url = /http:\/\/127\.0\.0\.1:\d+/.exec(texts.out)?.[0] ?? ''
  })
  afterAll(() => {
    child?.kill('SIGKILL')
  })

  const request = (path: string, body?: object) =>
    fetch(`${url}${path}`, {
      headers: { Authorization: `Bearer ${localToken('ann')}`, 'Content-Type': 'application/json' },
      ...(body && { method: 'POST', body: JSON.stringify(body) }),
    })
  const place = (id: string, sku: string) =>
    request(`/order/${id}/PlaceOrder`, { customer: 'ann', lines: [{ sku, quantity: 1 }] })
  const shown = async (id: string): Promise<OrderView | undefined> => (await (await request(`/views/orders/${id}`)).json()).view
  const patience = { timeout: patienceMs, interval: 250 }

  it('the functions ship an order whose first charge failed, and cancel one that is out of stock', async () => {
    expect((await request('/stock/tea/AddStock', { quantity: 1 })).status).toBe(200)
    for (const id of ['o-1', 'o-2']) expect((await place(id, 'tea')).status).toBe(200)
    const statuses = async () => [(await shown('o-1'))?.status, (await shown('o-2'))?.status].sort()
    await expect.poll(statuses, patience).toEqual(['canceled', 'confirmed'])
  })

  it('a message of the queue pays for an order whose card was declined', async () => {
    await request('/stock/piano/AddStock', { quantity: 1 })
    // The money comes first.
    const data = { reference: 't-1', order: 'o-3', amount: 250_000 }
    const report = { specversion: '1.0', id: 'e-1', source: '/psp', type: 'com.psp.transfer.received.v1', data }
    const messages = [{ body: JSON.stringify(report) }, { body: '{}' }]
    expect((await (await request('/_local/queue', messages)).json()).dead).toEqual([])
    await place('o-3', 'piano')
    const money = [{ reference: 't-1', amount: 250_000, isRefunded: false }]
    await expect.poll(() => shown('o-3'), patience).toMatchObject({ status: 'confirmed', money })
  })

  it('the program closes on SIGTERM', async () => {
    child.kill('SIGTERM')
    expect((await closed)[0]).toBe(0)
    expect(texts.out).toContain('The shop is closed.')
  })
})
