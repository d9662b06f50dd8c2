import type { Position, Store } from 'cqrs-es'
import type { Commit, CommitOutcome } from 'cqrs-es/store'

/** A store whose methods do as `changes` says, and as before where it says nothing. */
export function changed(store: Store, changes: Partial<Store>): Store {
  return new Proxy(store, {
    get(target, name) {
      const own = changes[name as keyof Store]
      if (own !== undefined) return own
      const member: unknown = Reflect.get(target, name)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}

/** A store that has an order of all events as one without. */
export const unordered = (store: Store, changes: Partial<Store> = {}): Store =>
  changed(store, {
    capabilities: { ...store.capabilities, globalOrder: false, push: false },
    readAggregate: async (request) => {
      const page = await store.readAggregate(request)
      return { ...page, events: page.events.map(({ position: _, ...event }) => event) }
    },
    append: async (commits) =>
      (await store.append(commits)).map((outcome) => ('positions' in outcome ? { ...outcome, positions: [] } : outcome)),
    ...changes,
  })

/** The same, which reports changes by cursor: its log, aggregate by aggregate. */
export const reporting = (store: Store, changes: Partial<Store> = {}): Store =>
  unordered(store, {
    readChanges: async ({ cursor, limit }) => {
      const end = (await store.lastPosition()) ?? '0'
      if (cursor === undefined) return { changes: [], cursor: end, more: false }
      const page = await store.readFeed({ ...(cursor !== '0' && { after: cursor as Position }), limit })
      const byAggregate = new Map(page.events.map((event) => [`${event.aggregateType}/${event.aggregateId}`, event]))
      const news = [...byAggregate.values()].map(({ aggregateType, aggregateId, sequence }) => ({
        aggregateType,
        aggregateId,
        sequence,
      }))
      return { changes: news, cursor: page.position ?? cursor, more: page.more }
    },
    ...changes,
  })

/** A store that notes each call: its name, unless `shown` says more of it. */
export const counting = (
  store: Store,
  calls: string[],
  shown: (name: string, args: readonly unknown[]) => string = (name) => name,
): Store =>
  new Proxy(store, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name)
      if (typeof member !== 'function') return member
      return (...args: unknown[]) => {
        calls.push(shown(String(name), args))
        return member.apply(target, args)
      }
    },
  })

/** A store that tells the name of each lease that was released. */
export const withReleases = (store: Store, told: (name: string) => void): Store =>
  changed(store, {
    releaseLease: async (request) => {
      await store.releaseLease(request)
      told(request.name)
    },
  })

type SendOne = (commit: Commit) => Promise<CommitOutcome>

/** A store whose appends go through `send`, which is told the number of the append, from 1 on, and how to really do it. */
export function sendingBy(store: Store, send: (commit: Commit, really: SendOne, nth: number) => Promise<CommitOutcome>): Store {
  let nth = 0
  const really: SendOne = async (commit) => (await store.append([commit]))[0] as CommitOutcome
  return changed(store, {
    append: (commits) => Promise.all(commits.map((commit) => send(commit, really, ++nth))),
  })
}

/** A store that runs `before` ahead of the first append: another writer who is quicker, once. */
export function overtaken(store: Store, before: () => Promise<unknown>): Store {
  let done = false
  return sendingBy(store, async (commit, really) => {
    if (!done) {
      done = true
      await before()
    }
    return really(commit)
  })
}
