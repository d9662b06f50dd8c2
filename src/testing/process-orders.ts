import type { ProcessInput } from './process-scene.ts'

type Events = Extract<ProcessInput, { kind: 'events' }>

/** Orders that are tested at most: the number grows with the factorial of the events. */
const mostOrders = 5_000

/** An order of inputs, and its description. */
export interface Order {
  readonly inputs: readonly ProcessInput[]
  readonly shown: string
}

/**
 * Returns every order of the events between two other inputs that keeps the order inside each
 * aggregate.
 */
export function orders(inputs: readonly ProcessInput[]): readonly Order[] {
  const stretches: ProcessInput[][] = [[]]
  for (const input of inputs) {
    if (input.kind === 'events') stretches.at(-1)?.push(...input.events.map((event) => ({ ...input, events: [event] })))
    else stretches.push([input], [])
  }
  let found: readonly (readonly ProcessInput[])[] = [[]]
  for (const stretch of stretches) {
    const merged = stretch.every(({ kind }) => kind === 'events') ? mergesOf(byAggregate(stretch as Events[])) : [stretch]
    found = found.flatMap((before) => merged.map((next) => [...before, ...next]))
    if (found.length > mostOrders)
      throw new Error(`inAnyOrder: there are more than ${mostOrders.toLocaleString('en')} orders. Use fewer events.`)
  }
  return found.map((one) => ({ inputs: one, shown: one.map(shownInput).join(', ') }))
}

function byAggregate(events: readonly Events[]): readonly (readonly Events[])[] {
  const found = new Map<string, Events[]>()
  for (const one of events) {
    const key = `${one.aggregate.type}/${one.id}`
    found.set(key, [...(found.get(key) ?? []), one])
  }
  return [...found.values()]
}

function mergesOf(lists: readonly (readonly Events[])[]): readonly (readonly Events[])[] {
  const open = lists.filter(({ length }) => length > 0)
  if (open.length === 0) return [[]]
  return open.flatMap((list) => {
    const rest = open.map((one) => (one === list ? one.slice(1) : one))
    return mergesOf(rest).map((merged) => [list[0] as Events, ...merged])
  })
}

const shownInput = (input: ProcessInput): string =>
  input.kind === 'events' ? String((input.events[0] as { readonly type?: unknown }).type) : input.kind
