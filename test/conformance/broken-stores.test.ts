import { type ConformanceHost, conformanceCases } from 'cqrs-es/conformance'
import { memoryStore } from 'cqrs-es/memory'
import {
  type Commit,
  type CommitOutcome,
  compareBytes,
  isWritable,
  type Position,
  type Store,
  StoreError,
  type ViewWrite,
} from 'cqrs-es/store'
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
    what: 'looks at the sequence of the last event and not at its commit',
    break: (store) => ({
      append: (commits) =>
        store.append(
          commits.map((commit) => ({ ...commit, appends: commit.appends.map(({ expectedCommitId: _, ...append }) => append) })),
        ),
    }),
    fails: {
      'an append is a conflict when the last event is not of the commit that it names':
        /the outcome: expected .*"conflict".*got .*"stored"/,
      'a later commit of a batch may name an earlier one, and no other': /the outcome: expected .*"stored".*got .*"conflict"/,
      'one wrong commit id in a batch harms no other aggregate': /the outcome: expected .*"conflict".*got .*"stored"/,
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
    what: 'proves the fence of a checkpoint, waits, then writes it',
    break: (store) => {
      const leases = new Map<string, number>()
      return {
        acquireLease: async (request) => {
          const answer = await store.acquireLease(request)
          if (answer.acquired) leases.set(request.name, answer.fence)
          return answer
        },
        append: (commits) =>
          eachByItself(store, commits, async (commit) => {
            const { checkpoint } = commit
            if (checkpoint === undefined || leases.get(checkpoint.name) !== checkpoint.fence) return commit
            await pause(commit.appends.length > 0 ? 5 : 0)
            return { ...commit, checkpoint: { ...checkpoint, fence: leases.get(checkpoint.name) ?? 0 } }
          }),
      }
    },
    fails: {
      'a commit under the fence before never lands behind one under the new fence': /checkpoint: expected .*"new".*got .*"old"/,
    },
  },
  {
    what: 'reads where a checkpoint stands, waits, then moves it',
    break: (store) => ({
      append: (commits) =>
        eachByItself(store, commits, async (commit) => {
          const { checkpoint } = commit
          if (checkpoint?.expectedPosition === undefined) return commit
          const { expectedPosition, ...moved } = checkpoint
          if (((await store.readCheckpoint(checkpoint.name))?.position ?? null) !== expectedPosition) return commit
          await pause()
          return { ...commit, checkpoint: moved }
        }),
    }),
    fails: { 'of eight moves of a checkpoint from one place at once one is made': /moved: expected 1, got 8/ },
  },
  {
    what: 'compares the positions of a checkpoint as numbers',
    break: (store) => ({
      append: (commits) =>
        eachByItself(store, commits, async (commit) => {
          const { checkpoint } = commit
          if (typeof checkpoint?.expectedPosition !== 'string') return commit
          const stands = (await store.readCheckpoint(checkpoint.name))?.position
          const same = stands !== undefined && Number(stands) === Number(checkpoint.expectedPosition)
          return same ? { ...commit, checkpoint: { ...checkpoint, expectedPosition: stands } } : commit
        }),
    }),
    fails: { 'a checkpoint moves on only from where it is expected to stand': /the outcome: expected .*"fence".*got .*"stored"/ },
  },
  {
    what: 'moves the checkpoint of a commit before the rest of it is stored',
    break: (store) => ({
      append: (commits) =>
        eachByItself(store, commits, async ({ checkpoint, ...rest }) => {
          if (checkpoint === undefined || (rest.appends.length === 0 && !rest.views))
            return { ...rest, ...(checkpoint && { checkpoint }) }
          const [moved] = await store.append([{ id: rest.id, appends: [], checkpoint }])
          return moved?.kind === 'stored' ? rest : { ...rest, checkpoint }
        }),
    }),
    fails: {
      'views and their checkpoint are written together or not at all': /checkpoint: expected "1", got "2"/,
      'a conflict stores nothing of its commit': /checkpoint: expected undefined, got .*"7"/,
      'a conflict on one part leaves the parts that would fit unstored': /checkpoint: expected undefined, got .*"1"/,
    },
  },
  {
    what: 'builds on a checkpoint that a commit of the batch did not move in the end',
    break: (store) => ({
      append: (commits) => {
        const moved = new Map<string, string>()
        return eachByItself(
          store,
          commits,
          async (commit) => {
            const { checkpoint } = commit
            if (typeof checkpoint?.expectedPosition !== 'string') return commit
            if (moved.get(checkpoint.name) !== checkpoint.expectedPosition) return commit
            const { expectedPosition: _, ...rest } = checkpoint
            return { ...commit, checkpoint: rest }
          },
          ({ checkpoint }) => {
            if (checkpoint) moved.set(checkpoint.name, checkpoint.position)
          },
        )
      },
    }),
    fails: {
      'a checkpoint that a commit did not move, since it was not stored, stands where it stood for the next':
        /outcomes: expected \["conflict","conflict","stored".*got \["conflict","stored"/,
    },
  },
  {
    what: 'gives everybody who takes a lease the same fence',
    break: (store) => {
      const fences = new Map<string, number>()
      const real = <R extends { name: string; fence: number }>(request: R): R => ({
        ...request,
        fence: request.fence === 1 ? (fences.get(request.name) ?? 1) : request.fence,
      })
      return {
        acquireLease: async (request) => {
          const answer = await store.acquireLease(request)
          if (answer.acquired) fences.set(request.name, answer.fence)
          return answer.acquired ? { ...answer, fence: 1 } : answer
        },
        renewLease: (request) => store.renewLease(real(request)),
        releaseLease: (request) => store.releaseLease(real(request)),
        append: (commits) =>
          store.append(
            commits.map((commit) => (commit.checkpoint ? { ...commit, checkpoint: real(commit.checkpoint) } : commit)),
          ),
      }
    },
    fails: {
      'fences grow over any number of holders and releases': /fences grow: 1, 1/,
      'a lease that has run out is taken over, and the old holder is stale for ever': /fences grow: 1, 1/,
      'the holder takes its lease again with a greater fence, and the one before is stale': /fences grow: 1,1,1/,
      'a checkpoint with a stale fence is a conflict, and nothing of its commit is written':
        /the outcome: expected .*"fence".*got .*"stored"/,
    },
  },
  {
    what: 'starts the fences anew when a lease is released',
    break: (store) => {
      const before = new Map<string, number>()
      const last = new Map<string, number>()
      return {
        acquireLease: async (request) => {
          const answer = await store.acquireLease(request)
          if (!answer.acquired) return answer
          last.set(request.name, answer.fence)
          return { ...answer, fence: answer.fence - (before.get(request.name) ?? 0) }
        },
        releaseLease: async ({ name, fence }) => {
          await store.releaseLease({ name, fence: fence + (before.get(name) ?? 0) })
          before.set(name, last.get(name) ?? 0)
        },
      }
    },
    fails: { 'fences grow over any number of holders and releases': /fences grow: 1, 1/ },
  },
  {
    what: 'lets a released lease run out instead of ending it',
    break: (store) => ({
      releaseLease: async ({ name, fence }) => {
        await store.renewLease({ name, fence, ttlMs: -1 })
      },
    }),
    fails: {
      'a released lease is free, and its fence is valid for nobody': /the outcome: expected .*"fence".*got .*"stored"/,
    },
  },
  {
    what: 'leaves the time of a lease as it is when its holder takes it again',
    break: (store) => {
      const until = new Map<string, number>()
      return {
        acquireLease: async (request) => {
          const ends = until.get(request.name) ?? 0
          const ttlMs = ends > Date.now() ? ends - Date.now() : request.ttlMs
          const answer = await store.acquireLease({ ...request, ttlMs })
          if (answer.acquired) until.set(request.name, Date.now() + ttlMs)
          return answer
        },
      }
    },
    fails: { 'a lease that its holder takes again is held for the new time': /free for another: expected false, got true/ },
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
    what: 'answers for the parts of a large batch in the order they are done',
    break: (store) => ({
      append: async (commits) => {
        const parts = Array.from({ length: Math.ceil(commits.length / 100) }, (_, i) => commits.slice(i * 100, i * 100 + 100))
        const answers: (readonly CommitOutcome[])[] = []
        for (const part of parts) answers.unshift(await store.append(part))
        return answers.flat()
      },
    }),
    fails: { 'the outcomes of three hundred commits stand in their order': /outcomes: expected/ },
  },
  {
    what: 'looks at each commit of a batch by itself, and not at what it builds on',
    break: (store) => ({
      append: async (commits) => {
        const outcomes: CommitOutcome[] = []
        for (const commit of commits) outcomes.push(...(await store.append([commit])))
        return outcomes
      },
    }),
    fails: {
      'what builds on a commit that was not stored is a conflict, also where its sequence fits by chance':
        /the outcome: expected .*"conflict".*got .*"stored"/,
      'a view row that builds on one that was not stored is a conflict, also where its version fits by chance':
        /the outcome: expected .*"conflict".*got .*"stored"/,
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
    what: 'reads on behind a position whose event it has lost',
    break: (store) => ({ readFeed: ({ confirm: _, ...request }) => store.readFeed(request) }),
    fails: {
      'the feed goes on behind an event that it has, and refuses one that it has not':
        /the read rejects: expected "STORE_BEHIND"/,
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
      'what other connections commit while the feed is read with a filter is never missed either':
        /what the reader has seen: expected/,
      'small commits are not shown before what is below them in a large batch': /what the reader has seen: expected/,
    },
  },
  {
    what: 'asks where the log ends after it has read the last page of a filter',
    break: (store) => ({
      readFeed: async (request) => {
        const page = await store.readFeed(request)
        if (page.more || request.only === undefined) return page
        await pause(2)
        return { ...page, position: await store.lastPosition() }
      },
    }),
    fails: {
      'what other connections commit while the feed is read with a filter is never missed either':
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
    what: 'takes any commit of the same sequences for the one that was sent before',
    break: (store) => ({
      append: (commits) =>
        eachByItself(store, commits, async (commit) => {
          const [first] = commit.appends
          if (first === undefined) return commit
          const { events } = await store.readAggregate({ ...first, after: first.expectedSequence })
          return events.length >= first.events.length ? { ...commit, id: events[0]?.commitId ?? commit.id } : commit
        }),
    }),
    fails: {
      'an empty read, a write in between, then the append: a conflict': /the outcome: expected .*"sequence".*got .*"repeated"/,
      'an append behind or ahead of the last event is a conflict that names the last sequence':
        /the outcome: expected .*"sequence".*got .*"repeated"/,
    },
  },
  {
    what: 'takes the key of a commit sent again for one that is taken',
    break: (store) => ({
      append: (commits) =>
        eachByItself(store, commits, async (commit) => {
          const [first] = commit.appends
          const taken = first && commit.key && (await store.readKey({ ...first, idempotencyKey: commit.key.idempotencyKey }))
          return taken ? { ...commit, id: `not ${commit.id}` } : commit
        }),
    }),
    fails: {
      'a commit with a key sent again is repeated, its key is no conflict':
        /the outcome of the commit sent again: expected .*"repeated".*got .*"key"/,
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
    what: 'counts the versions of a deleted view from the beginning again',
    break: (store) => ({
      append: (commits) =>
        eachByItself(store, commits, async (commit) => {
          if (!commit.views) return commit
          const rows = await store.readViews(commit.views)
          const views = commit.views.map((write, i) => {
            const row = rows[i]
            return row?.view === null && write.expectedVersion === 0 ? { ...write, expectedVersion: row.version } : write
          })
          return { ...commit, views }
        }),
    }),
    fails: {
      'a deleted view cannot be created from version 0 again, only from its own':
        /the outcome: expected .*"view".*got .*"stored"/,
      'a view that was never there can be deleted, which leaves its watermark': /the outcome: expected .*"view".*got .*"stored"/,
    },
  },
  {
    what: 'leaves the index values of a deleted view behind',
    break: (store) => {
      const left = new Map<string, ViewWrite['indexes']>()
      const keyOf = ({ name, generation, id }: ViewWrite) => JSON.stringify([name, generation, id])
      const withLeft = (write: ViewWrite): ViewWrite => {
        if (write.view === null) return write
        const own = write.indexes ?? []
        const old = left.get(keyOf(write))?.filter(({ index }) => !own.some((one) => one.index === index)) ?? []
        return { ...write, indexes: [...own, ...old] }
      }
      return {
        append: (commits) =>
          eachByItself(store, commits, async (commit) => {
            for (const write of commit.views ?? []) {
              if (write.view !== null) continue
              const all = (await indexesOf(store, write)) ?? []
              left.set(keyOf(write), all)
            }
            return commit.views ? { ...commit, views: commit.views.map(withLeft) } : commit
          }),
      }
    },
    fails: { 'a deleted view that is saved again is found by its new values alone': /found: expected \[\[\],.*got \[\["row"\]/ },
  },
  {
    what: 'looks at the generation of the first view of a commit alone',
    break: (store) => ({ append: (commits) => eachByItself(store, commits, async (commit) => onlyChecking(store, commit, 0)) }),
    fails: {
      'every view of a commit must be of a generation that may be written, wherever it stands':
        /the outcome: expected .*"generation".*got .*"stored"/,
    },
  },
  {
    what: 'looks at the generation of the last view of a commit alone',
    break: (store) => ({ append: (commits) => eachByItself(store, commits, async (commit) => onlyChecking(store, commit, -1)) }),
    fails: {
      'every view of a commit must be of a generation that may be written, wherever it stands':
        /the outcome: expected .*"generation".*got .*"stored"/,
    },
  },
  {
    what: 'reads the events of an aggregate, and its snapshot a moment later',
    break: (store) => ({
      readAggregate: async (request) => {
        const page = await store.readAggregate(request)
        if (request.snapshot === undefined) return page
        await pause(2)
        const { snapshot } = await store.readAggregate(request)
        return { ...page, ...(snapshot && { snapshot }) }
      },
    }),
    fails: { 'a snapshot and the events behind it are of one moment': /events behind the snapshot: expected/ },
  },
  {
    what: 'says that there is more whenever a page is full',
    break: (store) => ({
      readAggregate: async (request) => {
        const page = await store.readAggregate(request)
        return { ...page, more: page.more || page.events.length === request.limit }
      },
      readIds: async (request) => {
        const page = await store.readIds(request)
        return { ...page, more: page.more || page.items.length === request.limit }
      },
      findViews: async (request) => {
        const page = await store.findViews(request)
        const last = page.items.at(-1)
        return page.items.length === request.limit && last ? { next: { id: last.id }, ...page } : page
      },
    }),
    fails: {
      'a page has no more events than its limit, and says whether there is more':
        /the last page says so: expected false, got true/,
      'ids of a type are those of its aggregates with events, in byte order': /in one full page: expected .*false.*got .*true/,
      'pages of any size are complete and without doubles': /a page that ends with the last view has no next one/,
    },
  },
  {
    what: 'orders texts as JavaScript does',
    break: (store) => ({
      readIds: async (request) => {
        const { items } = await store.readIds({ aggregateType: request.aggregateType, limit: 1_000 })
        const rest = [...items].sort().filter((id) => request.after === undefined || id > request.after)
        return { items: rest.slice(0, request.limit), more: rest.length > request.limit }
      },
    }),
    fails: { 'ids of a type are those of its aggregates with events, in byte order': /in one page: expected/ },
  },
  {
    what: 'stores nothing where JSON has nothing',
    break: (store) => ({
      append: (commits) =>
        store.append(
          commits.map((commit) => ({
            ...commit,
            appends: commit.appends.map((append) => ({
              ...append,
              events: append.events.map((event) => ({ ...event, data: event.data === undefined ? null : event.data })),
            })),
          })),
        ),
    }),
    fails: { 'data that is not JSON fails for certain and stores nothing': /the outcome: expected .*"failed".*got .*"stored"/ },
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
  {
    what: 'moves the checkpoint of a transaction before its function runs',
    break: (store) => ({
      transact: async ({ id, checkpoint }, work) => {
        const [outcome] = await store.append([{ id, appends: [], checkpoint }])
        if (outcome?.kind === 'stored') await work({})
        return outcome as CommitOutcome
      },
    }),
    fails: {
      'a transaction whose function throws rejects with that very error and leaves the checkpoint':
        /checkpoint: expected .*"1".*got .*"2"/,
      'a transaction whose function threw may be sent again with the same id':
        /the outcome: expected .*"stored".*got .*"repeated"/,
    },
  },
  {
    what: 'does not prove the fence of a transaction',
    break: (store) => {
      const fences = new Map<string, number>()
      return {
        acquireLease: async (request) => {
          const answer = await store.acquireLease(request)
          if (answer.acquired) fences.set(request.name, answer.fence)
          return answer
        },
        transact: ({ id, checkpoint }, work) =>
          transacting(store)({ id, checkpoint: { ...checkpoint, fence: fences.get(checkpoint.name) ?? 0 } }, work),
      }
    },
    fails: {
      'a transaction with a fence that is not that of the lease is a conflict': /the outcome: expected .*"fence".*got .*"stored"/,
    },
  },
  {
    what: 'proves the fence of a transaction, runs its function, then moves the checkpoint',
    break: (store) => {
      const fences = new Map<string, number>()
      return {
        acquireLease: async (request) => {
          const answer = await store.acquireLease(request)
          if (answer.acquired) fences.set(request.name, answer.fence)
          return answer
        },
        transact: async ({ id, checkpoint }, work) => {
          if (fences.get(checkpoint.name) === checkpoint.fence) {
            await work({})
            await pause(checkpoint.position === 'old' ? 5 : 0)
          }
          const fence = fences.get(checkpoint.name) ?? 0
          const [outcome] = await store.append([{ id, appends: [], checkpoint: { ...checkpoint, fence } }])
          return outcome as CommitOutcome
        },
      }
    },
    fails: {
      'a transaction under the fence before never ends behind one under the new fence':
        /checkpoint: expected .*"new".*got .*"old"/,
    },
  },
  {
    what: 'gives what the function of a transaction throws as its outcome',
    break: (store) => ({
      transact: (commit, work) =>
        transacting(store)(commit, work).catch((cause: unknown) => ({ kind: 'failed' as const, certain: true, cause })),
    }),
    fails: {
      'a transaction whose function throws rejects with that very error and leaves the checkpoint': /the rejection: expected/,
    },
  },
  {
    what: 'runs the function of a transaction that is stored already',
    break: (store) => ({
      transact: async ({ id, checkpoint }, work) => {
        await work({})
        const [outcome] = await store.append([{ id, appends: [], checkpoint }])
        return outcome as CommitOutcome
      },
    }),
    fails: {
      'a transaction sent again is repeated, and its function does not run': /runs: expected 1, got 3/,
      'a commit and a transaction of one id are the same': /runs: expected 0, got 1/,
    },
  },
  {
    what: 'leaves out where the checkpoint of a transaction is expected to stand',
    break: (store) => ({
      transact: ({ id, checkpoint: { expectedPosition: _, ...checkpoint } }, work) =>
        transacting(store)({ id, checkpoint }, work),
    }),
    fails: {
      'a transaction moves the checkpoint only from where it is expected to stand':
        /the outcome: expected .*"fence".*got .*"stored"/,
      'of eight transactions that move a checkpoint from one place at once one is stored': /moved: expected 1, got 8/,
    },
  },
  {
    what: 'reads consumers in the order of its keys, each once',
    break: reading((read) => (names) => read([...new Set(names)].sort())),
    fails: {
      'consumers are read in the order of their names, each with its checkpoint and its lease': /consumers: expected/,
      'two hundred and fifty consumers are read at once': /positions: expected/,
    },
  },
  {
    what: 'leaves out the consumers that nobody has used',
    break: reading((read) => async (names) => (await read(names)).filter(({ checkpoint, lease }) => checkpoint ?? lease)),
    fails: {
      'consumers are read in the order of their names, each with its checkpoint and its lease': /consumers: expected/,
      'two hundred and fifty consumers are read at once': /answers: expected 250, got 4/,
    },
  },
  {
    what: 'reads a hundred consumers and takes them for all',
    break: reading((read) => (names) => read(names.slice(0, 100))),
    fails: { 'two hundred and fifty consumers are read at once': /answers: expected 250, got 100/ },
  },
  {
    what: 'knows only consumers with a lease',
    break: reading((read) => async (names) => (await read(names)).map((one) => (one.lease ? one : {}))),
    fails: {
      'a lease that was released is not named, the checkpoint of its consumer is': /consumer: expected .*"7".*got \[\{\}\]/,
      'a lease that has run out is not named, and is again when its holder renews it': /two seconds later: expected .*got \{\}/,
    },
  },
  {
    what: 'names a lease that was released',
    break: (store) => {
      const lease = { holder: 'one', fence: 1, remainingMs: 1 }
      return { readConsumers: async (names) => ((await store.readConsumers?.(names)) ?? []).map((one) => ({ lease, ...one })) }
    },
    fails: {
      'consumers are read in the order of their names, each with its checkpoint and its lease': /consumers: expected/,
      'a lease that was released is not named, the checkpoint of its consumer is': /consumer: expected/,
      'a lease that has run out is not named, and is again when its holder renews it': /two seconds later: expected/,
    },
  },
  {
    what: 'names the time left of the lease in seconds',
    break: reading(
      (read) => async (names) =>
        (await read(names)).map((one) => (one.lease ? { ...one, lease: { ...one.lease, remainingMs: 0 } } : one)),
    ),
    fails: {
      'consumers are read in the order of their names, each with its checkpoint and its lease': /0 ms remain, of 60,000/,
    },
  },
  {
    what: 'gives the fence of the lease as that of the checkpoint',
    break: reading(
      (read) => async (names) =>
        (await read(names)).map((one) => {
          const fence = one.lease?.fence
          return one.checkpoint && fence !== undefined ? { ...one, checkpoint: { ...one.checkpoint, fence } } : one
        }),
    ),
    fails: { 'a consumer has the fence of its checkpoint and that of its lease': /consumer: expected/ },
  },
  {
    what: 'takes the leases of consumers to read them',
    break: (store) => ({
      readConsumers: async (names) => {
        const found = (await store.readConsumers?.(names)) ?? []
        for (const name of names) await store.acquireLease({ name, holder: 'one', ttlMs: 60_000 })
        return found
      },
    }),
    fails: {
      'to read consumers takes no lease and moves nothing': /renewed: expected true, got false/,
      'a lease that has run out is not named, and is again when its holder renews it': /two seconds later: expected/,
    },
  },
  {
    what: 'reads the checkpoint that comes with a lease before it takes the lease',
    break: (store) => ({
      acquireLease: async (request) => {
        const checkpoint = (await store.readCheckpoint(request.name)) ?? null
        await pause()
        const answer = await store.acquireLease(request)
        return answer.acquired ? { ...answer, checkpoint } : answer
      },
    }),
    fails: {
      'the checkpoint that comes with a lease has every move under an earlier fence': /checkpoint: expected .*"3".*got null/,
    },
  },
  {
    what: 'has the checkpoint of a lease only for the holder who moved it',
    break: (store) => {
      const holders = new Map<string, string>()
      return {
        acquireLease: async (request) => {
          const answer = await store.acquireLease(request)
          const before = holders.get(request.name)
          if (answer.acquired) holders.set(request.name, request.holder)
          return answer.acquired && before !== request.holder ? { ...answer, checkpoint: null } : answer
        },
      }
    },
    fails: { 'a lease comes with the checkpoint of its name': /of a lease that another has released: expected .*"30".*got null/ },
  },
  {
    what: 'gives the new fence with the checkpoint of a lease',
    break: (store) => ({
      acquireLease: async (request) => {
        const answer = await store.acquireLease(request)
        if (!answer.acquired || !answer.checkpoint) return answer
        return { ...answer, checkpoint: { ...answer.checkpoint, fence: answer.fence } }
      },
    }),
    fails: { 'a lease comes with the checkpoint of its name': /of a lease that its holder takes again: expected/ },
  },
  {
    what: 'starts where the log began to be kept and not where it ends',
    break: following((read) => (request) => read(request.cursor === undefined ? { ...request, cursor: '0' } : request)),
    fails: {
      'without a cursor nothing is told, and the cursor stands before all that is stored from then on':
        /changes: expected \[\], got/,
    },
  },
  {
    what: 'starts behind what is stored next',
    break: following((read) => async (request) => {
      const page = await read(request)
      return request.cursor === undefined ? { ...page, cursor: String(Number(page.cursor) + 1) } : page
    }),
    fails: {
      'without a cursor nothing is told, and the cursor stands before all that is stored from then on':
        /aggregates in pages of 10: expected .*1.*, got \{\}/,
    },
  },
  {
    what: 'moves its cursor past what the limit left out',
    break: following((read) => async (request) => {
      const page = await read(request)
      const { cursor } = await read({ ...request, limit: 1_000 })
      return { ...page, cursor }
    }),
    fails: {
      'pages of any size come to the same aggregates': /aggregates in pages of 1: expected/,
      'a reader that follows writers misses nothing': /aggregates in pages of 3: expected/,
    },
  },
  {
    what: 'tells each change once, whoever asks again',
    break: following((read) => {
      const told = new Set<string>()
      return async (request) => {
        const page = await read(request)
        const changes = page.changes.filter((change) => !told.has(JSON.stringify(change)))
        for (const change of page.changes) told.add(JSON.stringify(change))
        return { ...page, changes }
      }
    }),
    fails: {
      'a cursor that is read again tells the same again': /aggregates in pages of 10: expected .*, got \{\}/,
      'what other connections store is told, and any connection goes on from a cursor': /aggregates in pages of 10: expected/,
    },
  },
  {
    what: 'tells the type of the first aggregate for all',
    break: following((read) => async (request) => {
      const page = await read(request)
      return { ...page, changes: page.changes.map((change) => ({ ...change, aggregateType: 'account' })) }
    }),
    fails: { 'every aggregate with new events is told, with its highest sequence': /aggregates in pages of 10: expected/ },
  },
  {
    what: 'says at the end that there is more',
    break: following((read) => async (request) => ({ ...(await read(request)), more: true })),
    fails: { 'at the end there is no more, and the cursor stays as it is': /the page at the end: expected .*false.*got .*true/ },
  },
  {
    what: 'takes a cursor it does not know for the beginning',
    break: following((read) => (request) => read(request.cursor?.match(/^\d+$/) ? request : { ...request, cursor: '0' })),
    fails: { 'a cursor that the store does not know is refused': /the cursor '' rejects: expected "STORE_BEHIND"/ },
  },
]

describe.concurrent.each(brokenStores)('a store that $what', ({ break: change, fails }) => {
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

/** A memory store that can be followed, with some of its methods replaced. */
function hostOf(change: (store: Store) => Partial<Store>): ConformanceHost {
  const open = async () => {
    const memory = memoryStore()
    const good: Store = Object.assign(memory, { transact: transacting(memory), readChanges: changesOf(memory) })
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

/**
 * Transactions for a store that can undo nothing. A commit with a view that nobody can write tells whether the checkpoint could move.
 */
const transacting =
  (store: Store): NonNullable<Store['transact']> =>
  async ({ id, checkpoint }, work) => {
    const doomed = { name: 'doomed', generation: 99, id: 'a', expectedVersion: 0, view: {} }
    const [found] = await store.append([{ id, appends: [], checkpoint, views: [doomed] }])
    if (found?.kind !== 'conflict' || found.on !== 'generation') return found as CommitOutcome
    await work({})
    const [outcome] = await store.append([{ id, appends: [], checkpoint }])
    return outcome as CommitOutcome
  }
type ReadChanges = NonNullable<Store['readChanges']>
type ReadConsumers = NonNullable<Store['readConsumers']>

function reading(change: (read: ReadConsumers) => ReadConsumers) {
  return (store: Store) => ({ readConsumers: change(async (names) => (await store.readConsumers?.(names)) ?? []) })
}

function following(change: (read: ReadChanges) => ReadChanges) {
  return (store: Store) => ({ readChanges: change(changesOf(store)) })
}

/** From the feed of the memory store, which has forgotten nothing: its position is the cursor. */
function changesOf(store: Store): ReadChanges {
  return async ({ cursor, limit }) => {
    if (cursor === undefined) return { changes: [], cursor: (await store.endPosition()) ?? '0', more: false }
    if (!/^\d+$/.test(cursor)) throw new StoreError('STORE_BEHIND', 'The cursor is none of this store.')
    const page = await store.readFeed({ limit, ...(cursor !== '0' && { after: cursor as Position }) })
    const last = new Map(page.events.map((event) => [JSON.stringify([event.aggregateType, event.aggregateId]), event]))
    const changes = [...last.values()].map(({ aggregateType, aggregateId, sequence }) => ({
      aggregateType,
      aggregateId,
      sequence,
    }))
    return { changes, cursor: page.position ?? '0', more: page.more }
  }
}

const pause = (ms = 0) => new Promise((resolve) => setTimeout(resolve, ms))

/** Sends commits one after another, each as `change` makes it; `lost` is told of those that are not stored. */
async function eachByItself(
  store: Store,
  commits: readonly Commit[],
  change: (commit: Commit) => Promise<Commit>,
  lost: (commit: Commit) => void = () => {},
): Promise<readonly CommitOutcome[]> {
  const outcomes: CommitOutcome[] = []
  for (const commit of commits) {
    const [outcome] = await store.append([await change(commit)])
    if (outcome?.kind === 'conflict') lost(commit)
    outcomes.push(outcome as CommitOutcome)
  }
  return outcomes
}

/** The commit without the views of generations that must not be written, but for the one at this place. */
async function onlyChecking(store: Store, commit: Commit, place: number): Promise<Commit> {
  const { views } = commit
  if (views === undefined) return commit
  const checked = views.at(place)
  const known = await Promise.all(
    views.map(async (write) => isWritable(await store.viewGenerations(write.name), write.generation)),
  )
  return { ...commit, views: views.filter((write, i) => known[i] || write === checked) }
}

/** What a view is found by, of the indexes that the suite uses. */
async function indexesOf(store: Store, { name, generation, id }: ViewWrite): Promise<NonNullable<ViewWrite['indexes']>> {
  const found = await Promise.all(
    ['a', 'b', 'c'].map(async (index) => {
      const where = [{ index, is: '=' as const, value: '4x' }]
      const { items } = await store.findViews({ name, generation, where, limit: 1_000 })
      return items.some((item) => item.id === id) ? [{ index, value: '4x' }] : []
    }),
  )
  return found.flat()
}

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
