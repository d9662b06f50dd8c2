import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { launch } from '../../test/launch.ts'
import { bundledProgram } from '../../test/program.ts'
import { root } from '../../test/run.ts'
import { freshDatabase } from '../../test/servers/fresh.ts'
import { unselected } from '../../test/servers/stores.ts'
import { patienceMs } from '../../test/strength.ts'
import { catalog } from './catalog.ts'
import type { OrderView } from './views.ts'

const program = await bundledProgram(join(root, 'examples/orders/server.ts'))

let folder: string
let children: ChildProcess[] = []
/** Processes that a child has started. */
let pids: number[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'orders-'))
})
afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
  for (const pid of pids) kill(pid)
  children = []
  pids = []
  rmSync(folder, { recursive: true })
})

describe('npm run orders', () => {
  it('every order ends right on a SQLite file when the process is killed and started again', async () => {
    const env = { ORDERS_FILE: join(folder, 'orders.db') }
    const first = await start(env, 1)
    await placeMany(first.urls, 'a')
    first.child.kill('SIGKILL')
    const second = await start(env, 1)
    await placeMany(second.urls, 'b')
    await expectAllRight(second.urls[0] as string)

    second.child.kill('SIGTERM')
    expect(await second.end).toMatchObject({ code: 0, err: '', out: expect.stringContaining('The shop is closed.') })
  })

  it.skipIf(unselected('postgres'))('every order ends right on Postgres when one of two processes is killed', async () => {
    const { urls, child, end } = await start({ STORE: 'postgres', POSTGRES_URL: await freshDatabase('postgres') }, 2)
    await placeMany(urls, 'a')
    kill(pids[0] as number)
    await placeMany(urls.slice(1), 'b')
    await expectAllRight(urls[1] as string)

    child.kill('SIGTERM')
    expect(await end).toMatchObject({ code: 0, err: '', out: expect.stringContaining(' is closed.') })
  })

  it('an unknown STORE fails with a message', async () => {
    const { end } = launch([program], { PORT: '0', STORE: 'oracle' })
    expect(await end).toMatchObject({
      code: 1,
      err: expect.stringContaining("STORE must be sqlite or postgres, not 'oracle'."),
    })
  })
})

/** Places orders that are shipped, that run out of stock, and that are paid twice by transfer. */
async function placeMany(urls: readonly string[], name: string): Promise<void> {
  const post = async (i: number, path: string, data: object) => {
    const init = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(data) }
    const response = await fetch(`${urls[i % urls.length]}${path}`, init)
    expect([response.status, path]).toEqual([200, path])
  }
  const place = (i: number, sku: string) =>
    post(i, `/order/${name}-${sku}-${i}/PlaceOrder`, {
      customer: 'ann',
      lines: [
        { sku, quantity: 1 },
        { sku: 'cup', quantity: 1 },
      ],
    })
  const transfer = (i: number) =>
    post(i, '/inbox/payments', {
      specversion: '1.0',
      id: `${name}-${i}`,
      source: '/psp',
      type: 'com.psp.transfer.received.v1',
      data: {
        reference: `${name}-${i}`,
        order: `${name}-piano-0`,
        amount: (catalog.piano?.price ?? 0) + (catalog.cup?.price ?? 0),
      },
    })
  await Promise.all([
    ...Array.from({ length: 8 }, (_, i) => place(i, 'tea')),
    ...Array.from({ length: 3 }, (_, i) => place(i, 'kettle')),
    place(0, 'piano'),
    transfer(0),
    transfer(1),
  ])
}

/** Waits for the last order, then compares money and stock with what was shipped. */
async function expectAllRight(url: string): Promise<void> {
  const get = async (path: string) => (await (await fetch(`${url}${path}`)).json()).items as { id: string; view: object }[]
  const orders = async () => (await get('/views/orders?limit=100')).map(({ view }) => view as OrderView)
  const isOver = ({ status, money, total }: OrderView) => {
    const kept = money.filter(({ isRefunded }) => !isRefunded).map(({ amount }) => amount)
    return JSON.stringify([status, kept]) === JSON.stringify(status === 'confirmed' ? ['confirmed', [total]] : ['canceled', []])
  }
  const over = async () => (await orders()).filter(isOver).length
  await expect.poll(over, { timeout: patienceMs, interval: 200 }).toBe(24)
  const all = await orders()
  expect(all.filter(({ status }) => status === 'canceled').map(({ because }) => because)).toEqual(
    Array(3).fill('out-of-stock: 0 of kettle'),
  )
  const sold = (sku: string) =>
    all.filter(({ status, lines }) => status === 'confirmed' && lines.some((line) => line.sku === sku)).length
  for (const { id, view } of await get('/views/items'))
    expect({ id, view }).toEqual({ id, view: { left: (catalog[id]?.stock ?? 0) - sold(id) } })
  const shipments = await (await fetch(`${url}/shipment?limit=100`)).json()
  expect(shipments.items).toHaveLength(21)
}

/** Starts the program, and waits until each of its processes has printed its address. */
async function start(env: Record<string, string>, processes: number) {
  const launched = launch([program], { PORT: '0', ...env })
  children.push(launched.child)
  const out = await launched.says((said) => addresses(said).length === processes)
  pids.push(...[...out.matchAll(/\(pid (\d+)\)/g)].map(([, pid]) => Number(pid)))
  return { ...launched, urls: addresses(out) }
}

const addresses = (out: string) => [...out.matchAll(/ is open at (\S+)/g)].map(([, url]) => url as string)

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}
