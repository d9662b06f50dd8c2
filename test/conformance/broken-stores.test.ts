import { type ConformanceHost, conformanceCases } from 'cqrs-es/conformance'
import { memoryStore } from 'cqrs-es/memory'
import { type Commit, type CommitOutcome, compareBytes, type Position, type Store } from 'cqrs-es/store'
import { describe, expect, test } from 'vitest'

/** A way to get it wrong, and the cases that must tell, each with what it must say. */
interface BrokenStore {
  readonly what: string
  readonly break: (store: Store) => Partial<Store>
  readonly fails: Readonly<Record<string, RegExp>>
}

const brokenStores: readonly BrokenStore[] = [
  {
    what: 'checks, waits, then inserts at the end',
    break: (store) => ({
      append: async (commits) => {
        const outcomes: CommitOutcome[] = []
        for (const commit of commits) {
          const actual = await lastSequences(store, commit)
          const late = commit.appends.findIndex((append, i) => append.expectedSequence !== actual[i])
          await pause()
          if (late >= 0) outcomes.push({ kind: 'conflict', on: 'sequence', actualSequence: actual[late] as number })
          else outcomes.push(...(await store.append([await atTheEnd(store, commit)])))
        }
        return outcomes
      },
    }),
    fails: {
      'one of eight concurrent creations wins': /winners: expected 1, got 8/,
      'one of eight concurrent commits on the same state wins': /winners: expected 1, got 8/,
      'concurrent writers that decide again lose no event': /the sequence that was decided on: expected/,
    },
  },
  {
    what: 'does nothing about a duplicate and reports it as stored',
    break: (store) => ({
      append: async (commits) =>
        (await store.append(commits)).map((outcome) =>
          outcome.kind === 'conflict' ? { kind: 'stored', positions: [] } : outcome,
        ),
    }),
    fails: {
      'an append behind or ahead of the last event is a conflict that names the last sequence':
        /the outcome: expected .*"conflict".*got .*"stored"/,
      'an empty read, a write in between, then the append: a conflict': /the outcome: expected .*"conflict".*got .*"stored"/,
      'one of eight concurrent creations wins': /winners: expected 1, got 8/,
    },
  },
  {
    what: 'reads the first page of an aggregate and takes it for all',
    break: (store) => ({
      readAggregate: async (request) => ({
        ...(await store.readAggregate({ ...request, limit: Math.min(request.limit ?? 1_000, 1_000) })),
        more: false,
      }),
    }),
    fails: {
      'thousands of events are read to the last, with a limit and without': /without a limit: expected/,
      'pages of any size give every event once, in order': /in pages of 1: expected/,
      'a page has no more events than its limit, and says whether there is more': /the first page: expected \[\[1\],true\]/,
    },
  },
  {
    what: 'gives events as one page may hold them, in no order',
    break: (store) => ({
      readAggregate: async (request) => {
        const page = await store.readAggregate(request)
        return { ...page, events: [...page.events].sort((a, b) => String(a.sequence).localeCompare(String(b.sequence))) }
      },
    }),
    fails: {
      'concurrent writers that decide again lose no event': /sequences: expected/,
      'aggregates whose events lie between one another are read in order, each by itself': /sequences of 'c'/,
    },
  },
  {
    what: 'writes a checkpoint without a look at its fence',
    break: (store) => {
      const fences = new Map<string, number>()
      return {
        acquireLease: async (request) => {
          const answer = await store.acquireLease(request)
          if (answer.acquired) fences.set(request.name, answer.fence)
          return answer
        },
        append: (commits) =>
          store.append(
            commits.map((commit) => {
              const { checkpoint } = commit
              return checkpoint ? { ...commit, checkpoint: { ...checkpoint, fence: fences.get(checkpoint.name) ?? 0 } } : commit
            }),
          ),
      }
    },
    fails: {
      'a checkpoint with a stale fence is a conflict, and nothing of its commit is written':
        /the outcome: expected .*"fence".*got .*"stored"/,
      'a fence ahead of its lease is a conflict': /the outcome: expected .*"fence".*got .*"stored"/,
      'a lease that has run out is taken over, and the old holder is stale for ever':
        /the outcome: expected .*"fence".*got .*"stored"/,
    },
  },
  {
    what: 'loses the checkpoint of a commit with views',
    break: (store) => ({
      append: (commits) =>
        store.append(
          commits.map(({ checkpoint, ...commit }) => (commit.views || !checkpoint ? commit : { ...commit, checkpoint })),
        ),
    }),
    fails: {
      'views and their checkpoint are written together or not at all': /checkpoint: expected "1"/,
      'a view batch sent again is repeated, its own versions are no conflict':
        /the outcome of the commit sent again: expected .*"repeated".*got .*"view"/,
    },
  },
  {
    what: 'sends the commits of a batch in parallel, the last one arriving first',
    break: (store) => ({
      append: async (commits) =>
        (await Promise.all([...commits].reverse().map((commit) => store.append([commit])))).flat().reverse(),
    }),
    fails: {
      'a chain of one aggregate is applied in list order': /outcomes: expected \["stored",/,
      'when the middle of a chain fails, what builds on it is a conflict: no gap, no stray': /actualSequence/,
      'sixty-four commits of as many aggregates on one view row are stored in one batch': /outcomes: expected/,
      'a commit twice in one batch is stored, then repeated': /outcomes: expected/,
    },
  },
  {
    what: 'fails the whole batch for one member',
    break: (store) => ({
      append: async (commits) => {
        const scratch = await store.append(commits.filter((commit) => !isJson(commit)))
        if (scratch.length === 0) return store.append(commits)
        return commits.map(() => scratch[0] as CommitOutcome)
      },
    }),
    fails: {
      'one commit that is not JSON among a hundred good ones harms none of them': /stored: expected 100, got 0/,
      'outcomes stand in the order of the commits': /the outcome: expected .*"stored".*got .*"failed"/,
    },
  },
  {
    what: 'shows positions before those of commits still under way: the naive reader',
    break: (store) => {
      const open = new Set<Position>()
      let commitsSeen = 0
      return {
        append: async (commits) => {
          const outcomes = await store.append(commits)
          const slow = outcomes.flatMap((outcome) =>
            outcome.kind === 'stored' && commitsSeen++ % 3 === 0 ? outcome.positions : [],
          )
          for (const position of slow) open.add(position)
          if (slow.length > 0) await pause(3)
          for (const position of slow) open.delete(position)
          return outcomes
        },
        readFeed: async (request) => {
          const page = await store.readFeed(request)
          return { ...page, events: page.events.filter(({ position }) => position === undefined || !open.has(position)) }
        },
      }
    },
    fails: {
      'what other connections commit while the feed is read is never missed, doubled or out of order':
        /what the reader has seen: expected/,
    },
  },
  {
    what: 'goes on behind the end of the log instead of behind the page',
    break: (store) => ({
      readFeed: async (request) => {
        const page = await store.readFeed(request)
        return { ...page, position: await store.lastPosition(), more: false }
      },
    }),
    fails: {
      'pages of any size give every event once, and the last says there is no more to come': /in pages of 1: expected/,
      'a reader with a checkpoint goes on where another stopped': /seen: expected/,
    },
  },
  {
    what: 'stays where it is when a filter leaves nothing of a page',
    break: (store) => ({
      readFeed: async (request) => {
        const page = await store.readFeed(request)
        return page.events.length === 0 ? { ...page, position: request.after, more: true } : page
      },
    }),
    fails: { 'a page that `only` has emptied still moves on': /it moves on, or says there is no more/ },
  },
  {
    what: 'acknowledges a commit before it is stored',
    break: (store) => ({
      append: async (commits) => {
        setTimeout(() => void store.append(commits), 2)
        return commits.map(() => ({ kind: 'stored', positions: [] }))
      },
    }),
    fails: {
      'what one connection has stored another reads at once': /sequences: expected \[1\], got \[\]/,
      'sequences of an aggregate count 1, 2, 3 without a gap': /sequences: expected/,
    },
  },
  {
    what: 'stores the events first and the views after them',
    break: (store) => ({
      append: async (commits) => {
        const outcomes: CommitOutcome[] = []
        for (const { views, ...events } of commits) {
          const [first] = await store.append([events])
          const [second] =
            views && first?.kind === 'stored' ? await store.append([{ id: `${events.id}-views`, appends: [], views }]) : []
          outcomes.push((second?.kind === 'stored' ? first : (second ?? first)) as CommitOutcome)
        }
        return outcomes
      },
    }),
    fails: {
      'a stale view leaves the events of its commit unstored': /sequences: expected \[1\], got \[1,2,3\]/,
      'two aggregates that save one view row: the later one conflicts and stores nothing': /sequences: expected \[\], got \[1\]/,
      'a conflict on one part leaves the parts that would fit unstored': /the outcome|sequences/,
    },
  },
  {
    what: 'takes a commit sent again for a conflict',
    break: (store) => ({
      append: async (commits) =>
        (await store.append(commits)).map((outcome) =>
          outcome.kind === 'repeated' ? { kind: 'conflict', on: 'sequence' } : outcome,
        ),
    }),
    fails: {
      'a commit sent again is repeated, with the same positions': /the outcome of the commit sent again: expected .*"repeated"/,
      'a commit sent eight times at once is stored once': /outcomes: expected/,
    },
  },
  {
    what: 'compares names as a locale does',
    break: (store) => {
      const fold = (text: string) => text.normalize('NFC').trim().toLowerCase()
      return {
        acquireLease: (request) => store.acquireLease({ ...request, name: fold(request.name) }),
        readKey: (request) => store.readKey({ ...request, idempotencyKey: fold(request.idempotencyKey) }),
        append: (commits) =>
          store.append(
            commits.map(({ key, ...commit }) =>
              key ? { ...commit, key: { ...key, idempotencyKey: fold(key.idempotencyKey) } } : commit,
            ),
          ),
      }
    },
    fails: {
      'keys are compared by their bytes': /the outcome: expected .*"stored".*got .*"key"/,
      'leases of different names are held independently': /the lease is free for 'two': expected true, got false/,
    },
  },
  {
    what: 'hands out what it keeps',
    break: (store) => {
      const kept = new Map<string, Promise<unknown>>()
      const once = <T>(key: unknown, read: () => Promise<T>): Promise<T> => {
        const text = JSON.stringify(key)
        const found = kept.get(text) ?? read()
        kept.set(text, found)
        return found as Promise<T>
      }
      return { readAggregate: (request) => once(request, () => store.readAggregate(request)) }
    },
    fails: { 'data handed out is fresh: to change it changes nothing in the store': /answers: expected/ },
  },
  {
    what: 'forgets the version of a deleted view',
    break: (store) => ({
      readViews: async (keys) => (await store.readViews(keys)).map((row) => (row?.view === null ? undefined : row)),
    }),
    fails: {
      'a deleted view keeps its version and sequence, and is found no more': /view: expected .*"version":2.*, got undefined/,
    },
  },
  {
    what: 'pages views by their id alone',
    break: (store) => ({
      findViews: async (request) => {
        const page = await store.findViews({ ...request, limit: 1_000 })
        const { after, limit } = request
        const rest = page.items.filter(({ id }) => after === undefined || compareBytes(id, after.id) > 0)
        const last = rest[limit - 1]
        return { items: rest.slice(0, limit), ...(last && rest.length > limit && { next: { id: last.id } }) }
      },
    }),
    fails: { 'pages of any size are complete and without doubles': /by index.* in pages of 1: expected/ },
  },
]

describe.each(brokenStores)('a store that $what', ({ break: change, fails }) => {
  test.each(Object.entries(fails))('fails: %s', async (name, reason) => {
    const found = (await conformanceCases(hostOf(change))).find((c) => c.name === name)
    const error = await found?.run().then(
      () => 'passed',
      (thrown: unknown) => thrown,
    )
    expect(error).toBeInstanceOf(Error)
    expect((error as Error).message).toMatch(reason)
    expect(error).toHaveProperty('expected')
    expect(error).toHaveProperty('actual')
  })
})

test('the store they are made from passes the cases they fail', async () => {
  const names = new Set(brokenStores.flatMap(({ fails }) => Object.keys(fails)))
  const cases = (await conformanceCases(hostOf(() => ({})))).filter(({ name }) => names.has(name))
  expect(cases.length).toBe(names.size)
  for (const { run } of cases) await run()
})

/** A memory store with some of its methods replaced. */
function hostOf(change: (store: Store) => Partial<Store>): ConformanceHost {
  const open = async () => {
    const good = memoryStore()
    const changes = change(good)
    const store = new Proxy(good, {
      get: (target, name) => {
        const value = Reflect.get(changes, name) ?? Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    return { store, connect: async () => store, close: async () => {} }
  }
  return { schema: 'none', open }
}

const pause = (ms = 0) => new Promise((resolve) => setTimeout(resolve, ms))

const lastSequences = (store: Store, { appends }: Commit) =>
  Promise.all(
    appends.map(async ({ aggregateType, aggregateId }) => {
      const { events } = await store.readAggregate({ aggregateType, aggregateId, after: 0 })
      return events.length
    }),
  )

async function atTheEnd(store: Store, commit: Commit): Promise<Commit> {
  const actual = await lastSequences(store, commit)
  const moved = commit.appends.map((append, i) => {
    const expectedSequence = actual[i] ?? 0
    return {
      ...append,
      expectedSequence,
      events: append.events.map((event, n) => ({ ...event, sequence: expectedSequence + n + 1 })),
    }
  })
  return { ...commit, appends: moved }
}

function isJson(commit: Commit): boolean {
  try {
    return typeof JSON.stringify(commit) === 'string'
  } catch {
    return false
  }
}
