import { type } from 'arktype'
import {
  createApp,
  defineAggregate,
  defineView,
  noData,
  platformRuntime,
  type Runtime,
  reject,
  type Store,
  typed,
  versions,
} from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import * as v from 'valibot'
import { z } from 'zod'

/** An order, declared with schemas of several libraries, with types alone, and without data. */
export const order = defineAggregate({
  type: 'order',
  events: {
    Placed: z.object({ customer: z.string(), total: z.number() }),
    Noted: typed<{ text: string }>(),
    Tagged: type({ tag: 'string' }),
    Rated: versions('2.0', z.object({ stars: z.int() }), { '1.0': (old: { points: number }) => ({ stars: old.points }) }),
    Cancelled: noData,
  },
  commands: {
    Place: z.object({ customer: z.string().trim().min(1).max(50), total: z.number().min(0).max(1_000_000) }),
    Note: typed<{ text: string }>(),
    Tag: type({ tag: '1 <= string <= 20' }),
    Rate: v.object({ stars: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(5)) }),
    Cancel: noData,
    Break: noData,
    events: noData,
  },
  initialState: () => ({ status: 'new' as 'new' | 'placed' | 'cancelled', notes: 0 }),
}).implement({
  handle: {
    Place: ({ status }, data) => (status === 'new' ? { type: 'Placed', data } : reject('already-placed', { status })),
    Note: ({ status }, data) => (status === 'placed' ? { type: 'Noted', data } : reject('not-placed')),
    Tag: ({ status }, data) => (status === 'placed' ? { type: 'Tagged', data } : reject('not-placed')),
    Rate: ({ status }, data) => (status === 'placed' ? { type: 'Rated', data } : reject('not-placed')),
    Cancel: ({ status }) => (status === 'placed' ? { type: 'Cancelled' } : undefined),
    Break: () => {
      throw new Error('the secret password is swordfish')
    },
    events: () => undefined,
  },
  apply: {
    Placed: (state) => ({ ...state, status: 'placed' }),
    Noted: (state) => ({ ...state, notes: state.notes + 1 }),
    Tagged: (state) => state,
    Rated: (state) => state,
    Cancelled: (state) => ({ ...state, status: 'cancelled' }),
  },
})

export const orders = defineView({
  name: 'orders',
  aggregates: [order],
  initialView: () => ({ customer: '', total: 0, isOpen: true, cancelledOn: null as string | null }),
  update: {
    Placed: (view, { data }) => ({ ...view, ...data }),
    Cancelled: (view, { recordedAt }) => ({ ...view, isOpen: false, cancelledOn: recordedAt.slice(0, 10) }),
  },
  indexes: ['customer', 'total', 'isOpen', 'cancelledOn'],
})

export const perCustomer = defineView({
  name: 'per-customer',
  aggregates: [order],
  consistency: 'async',
  initialView: () => ({ orders: 0 }),
  id: (event) => (event.type === 'Placed' ? event.data.customer : []),
  update: { Placed: ({ orders }) => ({ orders: orders + 1 }) },
})

export const openShop = (store: Store = memoryStore(), runtime: Runtime = platformRuntime) =>
  createApp({ store, aggregates: { order }, views: { orders, perCustomer }, runtime })

export type Shop = ReturnType<typeof openShop>

type Handler = (request: Request) => Promise<Response>

/** Asks a handler, and reads what it answers. */
export async function ask(handler: Handler, method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const withBody =
    method === 'GET' || method === 'HEAD' || body === undefined
      ? {}
      : { body: typeof body === 'string' ? body : JSON.stringify(body) }
  const type = method === 'POST' ? { 'Content-Type': 'application/json' } : {}
  const response = await handler(
    new Request(`http://shop.example${path}`, { method, ...withBody, headers: { ...type, ...headers } }),
  )
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, body: text === '' ? undefined : JSON.parse(text) }
}

/** By method. */
export const asking = (handler: Handler) => ({
  get: (path: string, headers?: Record<string, string>) => ask(handler, 'GET', path, undefined, headers),
  post: (path: string, body?: unknown, headers?: Record<string, string>) => ask(handler, 'POST', path, body, headers),
})
