import { defineAggregate, defineSubscription, noData, platformRuntime, type Store, typed } from 'cqrs-es'
import type { StoredEvent } from 'cqrs-es/store'
import type { ResettableConsumer } from '../../../src/consumers/consumer.ts'
import { consumerOf } from '../../../src/consumers/consumer-of.ts'
import type { ConsumerCore } from '../../../src/consumers/core.ts'
import { changeLayout } from '../../../src/consumers/relayout.ts'
import { consumerQueue } from '../../../src/consumers/rows.ts'
import { Delivery } from '../../../src/subscriptions/deliver.ts'
import { changed } from '../../support/stores.ts'

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))
const never = new Promise<never>(() => {})

export interface Simulation {
  readonly seed: number
  readonly random: () => number
  readonly events?: number
  readonly aggregates?: number
  readonly processes?: number
  readonly leaseMs?: number
  /** How likely a process dies at a call of the store, before or after it. */
  readonly death?: number
  /** How likely a process is frozen there for longer than its lease. */
  readonly freeze?: number
  /** How likely the number of partitions is changed before a slice. */
  readonly relayout?: number
  /** How likely it is reset to the beginning before a slice. */
  readonly reset?: number
  /** How likely an event fails a few times. */
  readonly failure?: number
  readonly onFailure?: unknown
}

/** One life of a process. */
interface Life {
  isDead: boolean
  readonly died: Promise<'died'>
  die(): void
}

/** What became of the events. */
export interface Fates {
  readonly lost: number
  readonly outOfOrder: number
  readonly twice: number
  readonly deaths: number
  readonly freezes: number
  readonly layouts: number
  readonly resets: number
  readonly failures: number
}

const sums = { E: typed<{ n: number }>() }
const thing = (type: string) =>
  defineAggregate({ type, events: sums, commands: { C: noData }, initialState: () => ({}) }).implement({
    handle: { C: () => undefined },
    apply: { E: (state) => state },
  })

/** A consumer as an app would run it, on a store of its own. */
export function processOf(
  store: Store,
  { name, holder, leaseMs, concurrency = 1, partitions = 1, random = Math.random, handle, onFailure = 'stop' }: ProcessOptions,
): { readonly core: ConsumerCore; readonly consumer: ResettableConsumer } {
  const aggregate = thing(name)
  const subscription = defineSubscription({
    name,
    aggregates: [aggregate],
    concurrency,
    partitions,
    onFailure: onFailure as 'stop',
    handle: (event) => handle(event),
  })
  const runtime = { ...platformRuntime, random }
  const base = { store, runtime, observe: undefined, neverAborts: new AbortController().signal }
  const core = {
    ...base,
    consumerQueue: consumerQueue(base as unknown as ConsumerCore),
    definitions: new Map([[name, aggregate['~definition']]]),
    holder: () => holder,
    leaseMs,
    pulse: { onWake: () => () => {} },
  } as unknown as ConsumerCore
  return { core, consumer: consumerOf(core, new Delivery(core, subscription['~definition'], {})) }
}

export interface ProcessOptions {
  readonly name: string
  readonly holder: string
  readonly leaseMs: number
  readonly concurrency?: number
  readonly partitions?: number
  readonly random?: () => number
  readonly onFailure?: unknown
  readonly handle: (event: Pick<StoredEvent, 'aggregateId' | 'sequence'>) => Promise<void>
}

export async function appendTo(
  store: Store,
  aggregateType: string,
  aggregateId: string,
  after: number,
  n: number,
): Promise<void> {
  const commitId = crypto.randomUUID()
  const events = Array.from({ length: n }, (_, i) => ({
    id: `${aggregateType}/${aggregateId}/${after + i + 1}`,
    type: 'E',
    version: '1.0',
    data: { n: i },
    aggregateType,
    aggregateId,
    sequence: after + i + 1,
    metadata: {},
    commitId,
    recordedAt: new Date().toISOString(),
  }))
  const [outcome] = await store.append([
    { id: commitId, appends: [{ aggregateType, aggregateId, expectedSequence: after, events }] },
  ])
  if (outcome?.kind !== 'stored') throw new Error(JSON.stringify(outcome))
}

/** Writers, processes that die or freeze at any call of the store, and changes of the layout, until every event was handled. */
export async function simulate(store: Store, options: Simulation): Promise<Fates> {
  const { seed, random, events = 400, aggregates = 20, processes = 3, leaseMs = 60_000 } = options
  const { death = 0, freeze = 0, relayout = 0, reset = 0, failure = 0, onFailure = 'stop' } = options
  const name = `s${seed}`
  const written = new Map<string, number>()
  const handled = new Map<string, number>()
  const last = new Map<string, number>()
  const failing = new Map<string, number>()
  const fates = { lost: 0, outOfOrder: 0, twice: 0, deaths: 0, freezes: 0, layouts: 0, resets: 0, failures: 0 }
  const total = () => [...written.values()].reduce((sum, n) => sum + n, 0)
  const isOver = () => total() >= events && handled.size === total()

  const write = async () => {
    while (total() < events) {
      const id = `a${Math.floor(random() ** 2 * aggregates)}`
      const n = Math.min(events - total(), 1 + Math.floor(random() * 4))
      const after = written.get(id) ?? 0
      await appendTo(store, name, id, after, n)
      written.set(id, after + n)
      if (random() < 0.3) await sleep(0)
    }
  }

  const handleIn = (life: Life) => async (event: Pick<StoredEvent, 'aggregateId' | 'sequence'>) => {
    if (life.isDead) await never
    if (random() < 0.5) await sleep(0)
    if (life.isDead) await never
    const key = `${event.aggregateId}/${event.sequence}`
    const left = failing.get(key) ?? (random() < failure ? 1 + Math.floor(random() * 3) : 0)
    failing.set(key, Math.max(0, left - 1))
    if (left > 0) {
      fates.failures++
      throw new Error('not yet')
    }
    handled.set(key, (handled.get(key) ?? 0) + 1)
    const before = last.get(event.aggregateId) ?? 0
    if (event.sequence > before + 1) fates.outOfOrder++
    last.set(event.aggregateId, Math.max(before, event.sequence))
  }

  /** The calls of one process: each may be its last, or take very long. */
  const mortal = (life: Life): Store => {
    const fate = async () => {
      if (life.isDead || isOver()) return life.isDead ? never : undefined
      if (random() < death) {
        fates.deaths++
        life.die()
        return never
      }
      if (random() < freeze) {
        fates.freezes++
        await sleep(leaseMs * 2)
      }
    }
    return new Proxy(store, {
      get(target, key) {
        const member: unknown = Reflect.get(target, key)
        if (typeof member !== 'function') return member
        return async (...args: unknown[]) => {
          await fate()
          const answer: unknown = await member.apply(target, args)
          await fate()
          return answer
        }
      },
    })
  }

  const live = async (nth: number) => {
    for (let n = 0; !isOver(); n++) {
      let die = () => {}
      const died = new Promise<'died'>((resolve) => {
        die = () => resolve('died')
      })
      const life: Life = {
        isDead: false,
        died,
        die: () => {
          life.isDead = true
          die()
        },
      }
      const concurrency = 1 + Math.floor(random() * 8)
      const holder = `p${nth}.${n}`
      const { core, consumer } = processOf(mortal(life), {
        name,
        holder,
        leaseMs,
        concurrency,
        random,
        onFailure,
        handle: handleIn(life),
      })
      const work = async () => {
        while (!isOver()) {
          const request = { budgetMs: 50 }
          if (random() < relayout && (await changeLayout(core, `subscription/${name}`, 1 + Math.floor(random() * 8), request)))
            fates.layouts++
          if (random() < reset) {
            // Another process may be at work for longer than that.
            await consumer.reset({ to: 'beginning', reason: 'chance' }, AbortSignal.timeout(100)).then(
              () => fates.resets++,
              () => {},
            )
          }
          const { events: done } = await consumer.run({ budgetMs: Math.floor(random() * 6) })
          await sleep(done === 0 ? 1 : 0)
        }
        return 'over'
      }
      await Promise.race([work(), life.died])
    }
  }

  await Promise.all([write(), ...Array.from({ length: processes }, (_, nth) => live(nth))])
  fates.lost = total() - handled.size
  fates.twice = [...handled.values()].filter((n) => n > 1).length
  return fates
}

/** A store on which a seal is acknowledged and not stored: the control that must fail. */
export const withoutSeals = (store: Store): Store =>
  changed(store, {
    append: async (commits) => {
      const isSeal = commits.map(({ checkpoint }) => checkpoint?.position.includes('"sealed":true') === true)
      const outcomes = await store.append(commits.filter((_, i) => !isSeal[i]))
      let next = 0
      return isSeal.map((is) => (is ? { kind: 'stored', positions: [] } : (outcomes[next++] as (typeof outcomes)[number])))
    },
  })
