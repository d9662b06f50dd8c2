import { createApp, defineAggregate, defineProcess, noData, type Process, type Runtime, reject, type Store, typed } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'
import { type TestClock, testClock } from 'cqrs-es/testing'
import { onSqlite } from './sqlite.ts'
import { unordered } from './stores.ts'

/** Stores on which each promise of processes is tested. */
export const stores = [
  { name: 'memory', open: async (): Promise<Store> => memoryStore() },
  { name: 'SQLite', open: onSqlite },
  { name: 'a store without a global order', open: async () => unordered(memoryStore()) },
]

/** Says something to processes. `to`: the instances that an event is for. */
export const signal = defineAggregate({
  type: 'signal',
  events: { Began: typed<{ to?: readonly string[] }>(), Noted: typed<{ note: string; to?: readonly string[] }>() },
  commands: {
    Begin: typed<{ to?: readonly string[] }>(),
    Note: typed<{ note: string; to?: readonly string[] }>(),
    NoteEach: typed<{ notes: readonly string[] }>(),
  },
  initialState: () => ({}),
}).implement({
  handle: {
    Begin: (_, data) => ({ type: 'Began', data }),
    Note: (_, data) => ({ type: 'Noted', data }),
    NoteEach: (_, { notes }) => notes.map((note) => ({ type: 'Noted' as const, data: { note } })),
  },
  apply: { Began: (state) => state, Noted: (state) => state },
})

/** Is told what to do by processes. `odd` throws, until a test says otherwise. */
export const target = defineAggregate({
  type: 'target',
  events: { Done: typed<{ what: string }>() },
  commands: { Do: typed<{ what: string }>(), Refuse: noData, Ignore: noData, Throw: noData },
  services: typed<{ fails(): boolean; seen: string[] }>(),
  initialState: () => ({ done: [] as readonly string[] }),
}).implement({
  handle: {
    Do: (_, { what }, { services, commandId }) => {
      services.seen.push(commandId)
      return what === 'no' ? reject('no', { what }) : { type: 'Done', data: { what } }
    },
    Refuse: () => reject('refused'),
    Ignore: () => {},
    Throw: (_, __, { services, commandId }) => {
      services.seen.push(commandId)
      if (services.fails()) throw new Error('It is odd.')
      return { type: 'Done', data: { what: 'thrown' } }
    },
  },
  apply: { Done: ({ done }, { what }) => ({ done: [...done, what] }) },
})

/** Anything that a test of a process writes; the types are tested in `test/types/processes.ts`. */
// biome-ignore lint/suspicious/noExplicitAny: handlers of all kinds
type Loose = any

export interface Behavior {
  readonly starts?: readonly string[]
  readonly correlate?: Loose
  readonly on?: Loose
  readonly replies?: Loose
  readonly timers?: Loose
  readonly failed?: Loose
}

export interface Rest {
  readonly name?: string
  readonly from?: string
  readonly stateVersion?: number
  readonly upgrade?: (state: Loose, from: number) => Loose
  readonly attempts?: number
  readonly timeoutMs?: number
  readonly calls?: Loose
  readonly initialState?: () => Loose
}

/** A process over signals that notes what it receives. */
export function processOf(
  { starts = ['Began'], correlate = {}, on = {}, timers = {}, ...rest }: Behavior,
  options: Rest = {},
): Loose {
  const define = defineProcess as Loose
  const noted = (state: Loose, { data }: Loose) => ({ state: { seen: [...state.seen, data.note] } })
  return define({
    name: 'steps',
    aggregates: [signal],
    sends: [signal, target],
    timers: ['first', 'second'],
    initialState: () => ({ seen: [] }),
    from: 'beginning',
    ...options,
  }).implement({
    starts,
    correlate,
    on: { Began: () => {}, Noted: noted, ...on },
    timers: { first: () => {}, second: () => {}, ...timers },
    ...rest,
  })
}

/** `correlate` of events that name their instances. */
export const named = ({ aggregateId, data }: Loose) => data.to ?? aggregateId

export const toDo = (what: string, id = 't') => ({ to: 'target', id, type: 'Do', data: { what } })
export const plain = (type: 'Refuse' | 'Ignore' | 'Throw', id = 't') => ({ to: 'target', id, type })

interface Setting {
  readonly store?: Store
  readonly clock?: Runtime
  readonly views?: object
  readonly processes?: object
  readonly following?: object
  readonly queries?: object
}

/** An app with a process, and a clock that a test moves. */
export function stepping(
  process: Loose,
  { store = memoryStore(), clock: runtime = testClock('2030-01-01T00:00:00Z'), ...options }: Setting = {},
) {
  const clock = runtime as TestClock
  const services = { isFailing: true, seen: [] as string[], fails: () => services.isFailing }
  const observed: Loose[] = []
  const observe = (one: Loose) => {
    if (one.kind === 'step' || one.kind === 'call') observed.push(one)
  }
  const app = createApp({
    store,
    aggregates: { signal, target },
    services: { target: services },
    processes: { steps: process as Process<'steps', Loose> },
    runtime: clock,
    observe,
    ...(options as object),
  })
  const begin = (id: string, to?: readonly string[]) =>
    app.aggregates.signal.execute(id, { type: 'Begin', data: to === undefined ? {} : { to } })
  const note = (id: string, text: string, to?: readonly string[]) =>
    app.aggregates.signal.execute(id, { type: 'Note', data: { note: text, ...(to === undefined ? {} : { to }) } })
  const load = async (id: string): Promise<Loose> => app.processes.steps.load(id)
  const done = async (id = 't') => (await app.aggregates.target.load(id)).state.done
  const drain = () => app.drain({ reconcile: true })
  return { app, clock, store, services, observed, begin, note, load, done, drain }
}
