import type { Position } from '../event-envelope.ts'
import type { StoredEvent } from '../store/commit.ts'
import type { FeedPage, FeedRequest, Store } from '../store/store.ts'
import { deposit, range } from './build.ts'
import { type Cases, globalOrder, when } from './case.ts'
import { conflicts, equal, holds, send, stores } from './check.ts'
import { grow, idsOf, isAfter, pause, readLog, sequences } from './read.ts'

/** The log as a reader sees it while others write. */
export const feedRaceCases: Cases = {
  'a feed shows concurrent commits exactly once and in order': when(globalOrder, async (database) => {
    const writers = await Promise.all(range(3).map((i) => (i === 0 ? database.store : database.connect())))
    const writing = Promise.all(writers.map((store, i) => write(store, i, 25)))
    const seen = await follow(await database.connect(), writing)
    equal('number of events', seen.length, 3 * 25 * 3)
  }),

  'a filtered feed shows concurrent commits exactly once and in order': when(globalOrder, async (database) => {
    const writers = await Promise.all(range(3).map((i) => (i === 0 ? database.store : database.connect())))
    const writing = Promise.all(writers.map((store, i) => write(store, i, 25)))
    const seen = await follow(await database.connect(), writing, [{ aggregateType: 'account' }])
    equal('number of events', seen.length, 3 * 25 * 3)
  }),

  'a feed shows no small commit before earlier events of a large batch': when(globalOrder, async (database) => {
    const other = await database.connect()
    const large = async () => {
      for (const round of range(5)) await database.store.append(range(100).map((i) => deposit(`${round}-${i}`, 0, 3)))
    }
    const small = async () => {
      for (const i of range(60)) {
        await stores(other, deposit('small', i))
        await pause()
      }
    }
    const seen = await follow(await database.connect(), Promise.all([large(), small()]))
    equal('number of events', seen.length, 5 * 100 * 3 + 60)
  }),
}

/** Reads until `writing` is over and nothing is left. The log must then equal what was read. */
async function follow(reader: Store, writing: Promise<unknown>, only?: FeedRequest['only']): Promise<readonly StoredEvent[]> {
  let isWriting = true
  const done = writing.finally(() => {
    isWriting = false
  })
  done.catch(() => {})
  const seen: StoredEvent[] = []
  let after: Position | undefined
  for (let behind = true; behind; ) {
    behind = isWriting
    const page: FeedPage = await reader.readFeed({ limit: 7, ...(only && { only }), ...(after !== undefined && { after }) })
    for (const event of page.events) holds('an event is behind the page before', after === undefined || isAfter(event, after))
    seen.push(...page.events)
    after = page.position
    if (page.more) behind = true
    else await pause()
  }
  await done
  equal('what the reader has seen', idsOf(seen), idsOf(await readLog(reader)))
  holds('positions grow', grow(seen))
  const next = new Map<string, number>()
  for (const { aggregateId, sequence } of seen) {
    equal(`next sequence of '${aggregateId}'`, sequence, (next.get(aggregateId) ?? 0) + 1)
    next.set(aggregateId, sequence)
  }
  return seen
}

/**
 * Commits three times as many events as `commits`: some alone, some on an account that all writers
 * share.
 */
async function write(store: Store, writer: number, commits: number) {
  for (const i of range(commits)) {
    if (i % 5 === 0) await shared(store)
    else await stores(store, deposit(`${writer}-${i % 2}`, await count(store, `${writer}-${i % 2}`), 3))
    if (i % 4 === 0) await pause()
  }
}

const count = async (store: Store, aggregateId: string) => (await sequences(store, aggregateId)).length

async function shared(store: Store) {
  for (;;) {
    const outcome = await send(store, deposit('shared', await count(store, 'shared'), 3))
    if (outcome.kind === 'stored') return
    conflicts(outcome, 'sequence')
  }
}
