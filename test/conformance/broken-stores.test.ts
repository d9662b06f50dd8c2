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
    what: 'checks the sequence, waits, then inserts at the end',
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
      'concurrent writers that decide again after each conflict lose no event': /the sequence that was decided on: expected/,
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
      'an append before or after the last event is a conflict that names the last sequence':
        /the outcome: expected .*"conflict".*got .*"stored"/,
      'a write between a read of an empty aggregate and its append makes the append a conflict':
        /the outcome: expected .*"conflict".*got .*"stored"/,
      'one of eight concurrent creations wins': /winners: expected 1, got 8/,
    },
  },
  {
    what: 'writes the events of a commit, then checks the versions of its internal rows',
    break: (store) => ({
      append: async (commits) => {
        const outcomes: CommitOutcome[] = []
        for (const commit of commits) {
          const isInternal = commit.appends.length > 0 && commit.views?.every(({ name }) => name.startsWith('~'))
          const { views = [], ...events } = commit
          const [outcome] = await store.append([isInternal ? events : commit])
          const isStored = isInternal && outcome?.kind === 'stored'
          const [rows] = isStored ? await store.append([{ id: `${commit.id}-rows`, appends: [], views }]) : []
          outcomes.push((rows?.kind === 'conflict' ? rows : outcome) as CommitOutcome)
        }
        return outcomes
      },
    }),
    fails: {
      'an internal row that has moved keeps the event of its commit from being stored': /sequences: expected \[\], got \[1\]/,
      'one of eight concurrent commits with the same internal row is stored, with its event': /events: expected/,
      'a stale event is named before a stale internal row, and neither is stored': /sequences: expected \[1\], got \[1,2\]/,
    },
  },
  {
    what: 'checks the sequence of the last event and not its commit',
    break: (store) => ({
      append: (commits) =>
        store.append(
          commits.map((commit) => ({ ...commit, appends: commit.appends.map(({ expectedCommitId: _, ...append }) => append) })),
        ),
    }),
    fails: {
      'an append that names another commit than that of the last event is a conflict':
        /the outcome: expected .*"conflict".*got .*"stored"/,
      'a later commit of a batch may name an earlier one of that aggregate and no other':
        /the outcome: expected .*"stored".*got .*"conflict"/,
      'a wrong commit id in a batch does not affect other aggregates': /the outcome: expected .*"conflict".*got .*"stored"/,
    },
  },
  {
    what: 'reads only the first page of an aggregate',
    break: (store) => ({
      readAggregate: async (request) => ({
        ...(await store.readAggregate({ ...request, limit: Math.min(request.limit ?? 1_000, 1_000) })),
        more: false,
      }),
    }),
    fails: {
      'thousands of events are read to the last, with and without a limit': /without a limit: expected/,
      'pages of any size have every event once, in order': /in pages of 1: expected/,
      'a page has at most `limit` events and reports whether there are more': /the first page: expected \[\[1\],true\]/,
    },
  },
  {
    what: 'returns the events of a page in no order',
    break: (store) => ({
      readAggregate: async (request) => {
        const page = await store.readAggregate(request)
        return { ...page, events: [...page.events].sort((a, b) => String(a.sequence).localeCompare(String(b.sequence))) }
      },
    }),
    fails: {
      'concurrent writers that decide again after each conflict lose no event': /sequences: expected/,
      'aggregates with interleaved events are read separately and in order': /sequences of 'c'/,
    },
  },
  {
    what: 'writes a checkpoint without a check of its fence',
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
      'a checkpoint with a stale fence is a conflict that stores nothing of its commit':
        /the outcome: expected .*"fence".*got .*"stored"/,
      'a fence above that of the lease is a conflict': /the outcome: expected .*"fence".*got .*"stored"/,
      'an expired lease is taken over, and the fence of the earlier holder stays stale':
        /the outcome: expected .*"fence".*got .*"stored"/,
    },
  },
  {
    what: 'checks the fence of a checkpoint, waits, then writes it',
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
      'a commit under an earlier fence never lands after one under the new fence': /checkpoint: expected .*"new".*got .*"old"/,
    },
  },
  {
    what: 'reads a checkpoint, waits, then moves it',
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
    fails: { 'one of eight concurrent moves of a checkpoint from one position is stored': /moved: expected 1, got 8/ },
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
    fails: { 'a checkpoint moves only from its expected position': /the outcome: expected .*"fence".*got .*"stored"/ },
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
      'views and their checkpoint are stored together or not at all': /checkpoint: expected "1", got "2"/,
      'a commit that conflicts stores none of its parts': /checkpoint: expected undefined, got .*"7"/,
      'a conflict on one part of a commit leaves its other parts unstored': /checkpoint: expected undefined, got .*"1"/,
    },
  },
  {
    what: 'builds on a checkpoint of a commit of the batch that was not stored',
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
      'a commit that was not stored leaves its checkpoint unmoved for the next one of the batch':
        /outcomes: expected \["conflict","conflict","stored".*got \["conflict","stored"/,
    },
  },
  {
    what: 'gives every holder of a lease the same fence',
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
      'fences grow across holders and releases': /fences grow: 1, 1/,
      'an expired lease is taken over, and the fence of the earlier holder stays stale': /fences grow: 1, 1/,
      'a lease that its holder takes again has a greater fence, which makes the earlier one stale': /fences grow: 1,1,1/,
      'a checkpoint with a stale fence is a conflict that stores nothing of its commit':
        /the outcome: expected .*"fence".*got .*"stored"/,
    },
  },
  {
    what: 'restarts the fences when a lease is released',
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
    fails: { 'fences grow across holders and releases': /fences grow: 1, 1/ },
  },
  {
    what: 'lets a released lease expire instead of ending it',
    break: (store) => ({
      releaseLease: async ({ name, fence }) => {
        await store.renewLease({ name, fence, ttlMs: -1 })
      },
    }),
    fails: {
      'a released lease is free, and its fence is valid for no caller': /the outcome: expected .*"fence".*got .*"stored"/,
    },
  },
  {
    what: 'keeps the expiry of a lease when its holder takes it again',
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
      'views and their checkpoint are stored together or not at all': /checkpoint: expected "1"/,
      'a view batch sent again is repeated and does not conflict with its own versions':
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
      'successive commits to one aggregate in a batch are applied in list order': /outcomes: expected \["stored",/,
      'a commit after a failed one of its aggregate in a batch is a conflict': /actualSequence/,
      'a batch stores 64 commits of different aggregates that update one view row': /outcomes: expected/,
      'a commit that occurs twice in a batch is stored once and repeated once': /outcomes: expected/,
    },
  },
  {
    what: 'returns the outcomes of a large batch in order of completion',
    break: (store) => ({
      append: async (commits) => {
        const parts = Array.from({ length: Math.ceil(commits.length / 100) }, (_, i) => commits.slice(i * 100, i * 100 + 100))
        const answers: (readonly CommitOutcome[])[] = []
        for (const part of parts) answers.unshift(await store.append(part))
        return answers.flat()
      },
    }),
    fails: { 'the outcomes of 300 commits have the order of their commits': /outcomes: expected/ },
  },
  {
    what: 'checks each commit of a batch without those it builds on',
    break: (store) => ({
      append: async (commits) => {
        const outcomes: CommitOutcome[] = []
        for (const commit of commits) outcomes.push(...(await store.append([commit])))
        return outcomes
      },
    }),
    fails: {
      'a commit that builds on one that was not stored is a conflict even if its sequence fits':
        /the outcome: expected .*"conflict".*got .*"stored"/,
      'a view row that builds on one that was not stored is a conflict even if its version fits':
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
      'one commit that is not JSON in a batch of a hundred does not affect the others': /stored: expected 100, got 0/,
      'outcomes have the order of their commits': /the outcome: expected .*"stored".*got .*"failed"/,
    },
  },
  {
    what: 'reads on after a position whose event it has lost',
    break: (store) => ({ readFeed: ({ confirm: _, ...request }) => store.readFeed(request) }),
    fails: {
      'the feed continues after an event that it has and refuses one that it does not have':
        /the read rejects: expected "STORE_BEHIND"/,
    },
  },
  {
    what: 'shows positions above those of commits in flight, as a naive reader does',
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
      'a feed shows concurrent commits exactly once and in order': /what the reader has seen: expected/,
      'a filtered feed shows concurrent commits exactly once and in order': /what the reader has seen: expected/,
      'a feed shows no small commit before earlier events of a large batch': /what the reader has seen: expected/,
    },
  },
  {
    what: 'reads the end of the log after the last page of a filter',
    break: (store) => ({
      readFeed: async (request) => {
        const page = await store.readFeed(request)
        if (page.more || request.only === undefined) return page
        await pause(2)
        return { ...page, position: await store.lastPosition() }
      },
    }),
    fails: {
      'a filtered feed shows concurrent commits exactly once and in order': /what the reader has seen: expected/,
    },
  },
  {
    what: 'continues after the end of the log instead of after the page',
    break: (store) => ({
      readFeed: async (request) => {
        const page = await store.readFeed(request)
        return { ...page, position: await store.lastPosition(), more: false }
      },
    }),
    fails: {
      'pages of any size have every event once, and the last one reports no more': /in pages of 1: expected/,
      'a reader with a checkpoint continues where another one stopped': /seen: expected/,
    },
  },
  {
    what: 'keeps its position when a filter leaves a page empty',
    break: (store) => ({
      readFeed: async (request) => {
        const page = await store.readFeed(request)
        return page.events.length === 0 ? { ...page, position: request.after, more: true } : page
      },
    }),
    fails: { 'a page that `only` leaves empty still moves on': /it moves on, or says there is no more/ },
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
      'a connection reads at once what another one has stored': /sequences: expected \[1\], got \[\]/,
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
      'the later of two aggregates that save one view row conflicts and stores nothing': /sequences: expected \[\], got \[1\]/,
      'a conflict on one part of a commit leaves its other parts unstored': /the outcome|sequences/,
    },
  },
  {
    what: 'takes any commit of the same sequences for a repeat',
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
      'a write between a read of an empty aggregate and its append makes the append a conflict':
        /the outcome: expected .*"sequence".*got .*"repeated"/,
      'an append before or after the last event is a conflict that names the last sequence':
        /the outcome: expected .*"sequence".*got .*"repeated"/,
    },
  },
  {
    what: 'reports the key of a commit sent again as used',
    break: (store) => ({
      append: (commits) =>
        eachByItself(store, commits, async (commit) => {
          const [first] = commit.appends
          const taken = first && commit.key && (await store.readKey({ ...first, idempotencyKey: commit.key.idempotencyKey }))
          return taken ? { ...commit, id: `not ${commit.id}` } : commit
        }),
    }),
    fails: {
      'a commit sent again is repeated and does not conflict with its own key':
        /the outcome of the commit sent again: expected .*"repeated".*got .*"key"/,
    },
  },
  {
    what: 'reports a commit sent again as a conflict',
    break: (store) => ({
      append: async (commits) =>
        (await store.append(commits)).map((outcome) =>
          outcome.kind === 'repeated' ? { kind: 'conflict', on: 'sequence' } : outcome,
        ),
    }),
    fails: {
      'a commit sent again is repeated with the same positions': /the outcome of the commit sent again: expected .*"repeated"/,
      'a commit sent eight times concurrently is stored once': /outcomes: expected/,
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
    what: 'returns its own objects instead of copies',
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
    fails: { 'a change to returned data changes nothing in the store': /answers: expected/ },
  },
  {
    what: 'forgets the version of a deleted view',
    break: (store) => ({
      readViews: async (keys) => (await store.readViews(keys)).map((row) => (row?.view === null ? undefined : row)),
    }),
    fails: {
      'a deleted view keeps its version and sequence and is no longer found': /view: expected .*"version":2.*, got undefined/,
    },
  },
  {
    what: 'restarts the versions of a deleted view',
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
      'a deleted view is saved again only from its own version, not from 0': /the outcome: expected .*"view".*got .*"stored"/,
      'the deletion of a view that never existed stores its watermark': /the outcome: expected .*"view".*got .*"stored"/,
    },
  },
  {
    what: 'keeps the index values of a deleted view',
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
    fails: { 'a deleted view that is saved again is found only by its new values': /found: expected \[\[\],.*got \[\["row"\]/ },
  },
  {
    what: 'checks only the generation of the first view of a commit',
    break: (store) => ({ append: (commits) => eachByItself(store, commits, async (commit) => onlyChecking(store, commit, 0)) }),
    fails: {
      'a commit with one view of a generation that is not writable is a conflict at any place':
        /the outcome: expected .*"generation".*got .*"stored"/,
    },
  },
  {
    what: 'checks only the generation of the last view of a commit',
    break: (store) => ({ append: (commits) => eachByItself(store, commits, async (commit) => onlyChecking(store, commit, -1)) }),
    fails: {
      'a commit with one view of a generation that is not writable is a conflict at any place':
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
    fails: { 'a snapshot and the events after it are of one moment': /events behind the snapshot: expected/ },
  },
  {
    what: 'reports more whenever a page is full',
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
      'a page has at most `limit` events and reports whether there are more': /the last page says so: expected false, got true/,
      'readIds returns the ids of aggregates with events of a type in byte order':
        /in one full page: expected .*false.*got .*true/,
      'pages of any size have every view once': /a page that ends with the last view has no next one/,
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
    fails: { 'readIds returns the ids of aggregates with events of a type in byte order': /in one page: expected/ },
  },
  {
    what: 'drops values that JSON drops',
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
    fails: { 'a commit with data that is not JSON fails and stores nothing': /the outcome: expected .*"failed".*got .*"stored"/ },
  },
  {
    what: 'pages views only by their id',
    break: (store) => ({
      findViews: async (request) => {
        const page = await store.findViews({ ...request, limit: 1_000 })
        const { after, limit } = request
        const rest = page.items.filter(({ id }) => after === undefined || compareBytes(id, after.id) > 0)
        const last = rest[limit - 1]
        return { items: rest.slice(0, limit), ...(last && rest.length > limit && { next: { id: last.id } }) }
      },
    }),
    fails: { 'pages of any size have every view once': /by index.* in pages of 1: expected/ },
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
      'a transaction whose function throws rejects with that error and keeps the checkpoint':
        /checkpoint: expected .*"1".*got .*"2"/,
      'a transaction whose function threw may be sent again with the same id':
        /the outcome: expected .*"stored".*got .*"repeated"/,
    },
  },
  {
    what: 'does not check the fence of a transaction',
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
      'a transaction under another fence than that of the lease is a conflict': /the outcome: expected .*"fence".*got .*"stored"/,
    },
  },
  {
    what: 'checks the fence of a transaction, runs its function, then moves the checkpoint',
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
      'a transaction under an earlier fence never lands after one under the new fence':
        /checkpoint: expected .*"new".*got .*"old"/,
    },
  },
  {
    what: "returns the error of a transaction's function as its outcome",
    break: (store) => ({
      transact: (commit, work) =>
        transacting(store)(commit, work).catch((cause: unknown) => ({ kind: 'failed' as const, certain: true, cause })),
    }),
    fails: {
      'a transaction whose function throws rejects with that error and keeps the checkpoint': /the rejection: expected/,
    },
  },
  {
    what: 'runs the function of a transaction that is already stored',
    break: (store) => ({
      transact: async ({ id, checkpoint }, work) => {
        await work({})
        const [outcome] = await store.append([{ id, appends: [], checkpoint }])
        return outcome as CommitOutcome
      },
    }),
    fails: {
      'a transaction sent again is repeated without another call of its function': /runs: expected 1, got 3/,
      'a transaction with the id of a stored commit is repeated': /runs: expected 0, got 1/,
    },
  },
  {
    what: 'ignores the expected position of the checkpoint of a transaction',
    break: (store) => ({
      transact: ({ id, checkpoint: { expectedPosition: _, ...checkpoint } }, work) =>
        transacting(store)({ id, checkpoint }, work),
    }),
    fails: {
      'a transaction moves the checkpoint only from its expected position': /the outcome: expected .*"fence".*got .*"stored"/,
      'one of eight concurrent transactions from one checkpoint position is stored': /moved: expected 1, got 8/,
    },
  },
  {
    what: 'returns consumers in the order of its own keys, each once',
    break: reading((read) => (names) => read([...new Set(names)].sort())),
    fails: {
      'readConsumers keeps the order of the names, each with its checkpoint and lease': /consumers: expected/,
      'readConsumers reads 250 consumers at once': /positions: expected/,
    },
  },
  {
    what: 'omits consumers that were never used',
    break: reading((read) => async (names) => (await read(names)).filter(({ checkpoint, lease }) => checkpoint ?? lease)),
    fails: {
      'readConsumers keeps the order of the names, each with its checkpoint and lease': /consumers: expected/,
      'readConsumers reads 250 consumers at once': /answers: expected 250, got 4/,
    },
  },
  {
    what: 'reads only a hundred consumers',
    break: reading((read) => (names) => read(names.slice(0, 100))),
    fails: { 'readConsumers reads 250 consumers at once': /answers: expected 250, got 100/ },
  },
  {
    what: 'returns only consumers with a lease',
    break: reading((read) => async (names) => (await read(names)).map((one) => (one.lease ? one : {}))),
    fails: {
      'readConsumers omits a released lease and keeps the checkpoint of its consumer': /consumer: expected .*"7".*got \[\{\}\]/,
      'readConsumers omits an expired lease until its holder renews it': /two seconds later: expected .*got \{\}/,
    },
  },
  {
    what: 'returns a released lease',
    break: (store) => {
      const lease = { holder: 'one', fence: 1, remainingMs: 1 }
      return { readConsumers: async (names) => ((await store.readConsumers?.(names)) ?? []).map((one) => ({ lease, ...one })) }
    },
    fails: {
      'readConsumers keeps the order of the names, each with its checkpoint and lease': /consumers: expected/,
      'readConsumers omits a released lease and keeps the checkpoint of its consumer': /consumer: expected/,
      'readConsumers omits an expired lease until its holder renews it': /two seconds later: expected/,
    },
  },
  {
    what: 'returns the remaining time of a lease in seconds',
    break: reading(
      (read) => async (names) =>
        (await read(names)).map((one) => (one.lease ? { ...one, lease: { ...one.lease, remainingMs: 0 } } : one)),
    ),
    fails: {
      'readConsumers keeps the order of the names, each with its checkpoint and lease': /0 ms remain, of 60,000/,
    },
  },
  {
    what: 'returns the fence of the lease as that of the checkpoint',
    break: reading(
      (read) => async (names) =>
        (await read(names)).map((one) => {
          const fence = one.lease?.fence
          return one.checkpoint && fence !== undefined ? { ...one, checkpoint: { ...one.checkpoint, fence } } : one
        }),
    ),
    fails: { 'a consumer has one fence of its checkpoint and one of its lease': /consumer: expected/ },
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
      'readConsumers takes no lease and moves no checkpoint': /renewed: expected true, got false/,
      'readConsumers omits an expired lease until its holder renews it': /two seconds later: expected/,
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
      'the checkpoint that acquireLease returns includes every move under an earlier fence':
        /checkpoint: expected .*"3".*got null/,
    },
  },
  {
    what: 'returns the checkpoint of a lease only to the holder that moved it',
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
    fails: {
      'acquireLease returns the checkpoint of its name': /of a lease that another has released: expected .*"30".*got null/,
    },
  },
  {
    what: 'returns the new fence with the checkpoint of a lease',
    break: (store) => ({
      acquireLease: async (request) => {
        const answer = await store.acquireLease(request)
        if (!answer.acquired || !answer.checkpoint) return answer
        return { ...answer, checkpoint: { ...answer.checkpoint, fence: answer.fence } }
      },
    }),
    fails: { 'acquireLease returns the checkpoint of its name': /of a lease that its holder takes again: expected/ },
  },
  {
    what: 'starts at the beginning of the log instead of at its end',
    break: following((read) => (request) => read(request.cursor === undefined ? { ...request, cursor: '0' } : request)),
    fails: {
      'a read without a cursor reports nothing and returns a cursor before all later events': /changes: expected \[\], got/,
    },
  },
  {
    what: 'starts after the next stored event',
    break: following((read) => async (request) => {
      const page = await read(request)
      return request.cursor === undefined ? { ...page, cursor: String(Number(page.cursor) + 1) } : page
    }),
    fails: {
      'a read without a cursor reports nothing and returns a cursor before all later events':
        /aggregates in pages of 10: expected .*1.*, got \{\}/,
    },
  },
  {
    what: 'moves its cursor past what the limit excluded',
    break: following((read) => async (request) => {
      const page = await read(request)
      const { cursor } = await read({ ...request, limit: 1_000 })
      return { ...page, cursor }
    }),
    fails: {
      'readChanges reports the same aggregates with any page size': /aggregates in pages of 1: expected/,
      'a reader that follows concurrent writers misses no aggregate': /aggregates in pages of 3: expected/,
    },
  },
  {
    what: 'reports each change only once',
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
      'readChanges reports the same changes again for the same cursor': /aggregates in pages of 10: expected .*, got \{\}/,
      'readChanges reports events of other connections, and a cursor works on any connection':
        /aggregates in pages of 10: expected/,
    },
  },
  {
    what: 'reports the type of the first aggregate for all',
    break: following((read) => async (request) => {
      const page = await read(request)
      return { ...page, changes: page.changes.map((change) => ({ ...change, aggregateType: 'account' })) }
    }),
    fails: {
      'readChanges reports every aggregate with new events and its highest sequence': /aggregates in pages of 10: expected/,
    },
  },
  {
    what: 'reports more at the end',
    break: following((read) => async (request) => ({ ...(await read(request)), more: true })),
    fails: { 'readChanges at the end reports no more and keeps the cursor': /the page at the end: expected .*false.*got .*true/ },
  },
  {
    what: 'treats an unknown cursor as the beginning',
    break: following((read) => (request) => read(request.cursor?.match(/^\d+$/) ? request : { ...request, cursor: '0' })),
    fails: { 'readChanges refuses an unknown cursor': /the cursor '' rejects: expected "STORE_BEHIND"/ },
  },
]

describe.concurrent.each(brokenStores)('a store that $what', ({ break: change, fails }) => {
  test.each(Object.entries(fails))('the conformance suite fails: %s', async (name, reason) => {
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

test('the unbroken store passes the cases that broken stores fail', async () => {
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
