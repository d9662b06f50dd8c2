import {
  type Commit,
  type CommitOutcome,
  compareBytes,
  type FeedRequest,
  type Store,
  StoreError,
  serializeCommit,
} from 'cqrs-es/store'
import { findViews } from './find-views.ts'
import type { Kv } from './kv.ts'
import { Log } from './log.ts'
import type { FailedCommit, Request } from './state.ts'

const pageSize = 500

/**
 * A store on a map in which keys can only be created: all requests are entries of one log, and the state that they add up to is kept in
 * memory. Simple before fast; a real one would also keep a snapshot of its state, to start from.
 */
export function kvStore(kv: Kv): Store {
  const log = new Log(kv)
  return {
    capabilities: {
      globalOrder: true,
      push: false,
      appendsPerCommit: Number.POSITIVE_INFINITY,
      itemsPerCommit: Number.POSITIVE_INFINITY,
      bytesPerCommit: Number.POSITIVE_INFINITY,
      bytesPerEvent: Number.POSITIVE_INFINITY,
    },

    createSchema: async () => {},
    printSchema: () => JSON.stringify({ store: 'kv', keys: ['log/…'] }),

    append: (commits) => append(log, commits),

    readAggregate: ({ aggregateType, aggregateId, after, upTo = Number.POSITIVE_INFINITY, snapshot: wanted, limit = pageSize }) =>
      log.read((state) => {
        const { events = [], snapshot: kept } = state.aggregate(aggregateType, aggregateId) ?? {}
        const last = Math.min(upTo, events.length)
        const fits = kept && kept.stateVersion === wanted?.stateVersion && kept.sequence > after && kept.sequence <= last
        const from = fits ? kept.sequence : after
        const to = Math.min(last, from + Math.min(limit, pageSize))
        return { ...(fits && { snapshot: kept }), events: events.slice(from, Math.max(from, to)), more: to < last }
      }),

    readIds: ({ aggregateType, after, limit }) =>
      log.read((state) => {
        const ids = state.idsOf(aggregateType).filter((id) => after === undefined || compareBytes(id, after) > 0)
        return { items: ids.sort(compareBytes).slice(0, limit), more: ids.length > limit }
      }),

    readKey: ({ aggregateType, aggregateId, idempotencyKey }) =>
      log.read((state) => state.aggregate(aggregateType, aggregateId)?.keys.get(idempotencyKey)),

    readViews: (keys) =>
      log.read((state) => keys.map(({ name, generation, id }) => state.views(name, generation).get(id)?.stored)),
    findViews: (request) => log.read((state) => findViews(state, request)),

    viewGenerations: (name) => log.read((state) => state.generations(name)),
    addViewGeneration: (request) => log.change('addViewGeneration', request),
    switchViewGeneration: (request) => log.change('switchViewGeneration', request),
    removeViewGeneration: (request) => log.change('removeViewGeneration', request),

    readFeed: ({ after, confirm, only, limit }) =>
      log.read(({ feed }) => {
        const from = Number(after ?? 0)
        if (from > feed.length)
          throw new StoreError('STORE_BEHIND', `The log ends at ${feed.length}, before ${after}: it is another or an older one.`)
        if (confirm && feed[Number(confirm.position) - 1]?.commitId !== confirm.commitId)
          throw new StoreError('STORE_BEHIND', `The log has lost the event at ${confirm.position}, or it is another log.`)
        const page = feed.slice(from, from + Math.min(limit, pageSize))
        const end = from + page.length
        const { position = after, commitId } = feed[end - 1] ?? {}
        const last = position && commitId !== undefined ? { position, commitId } : undefined
        return { events: page.filter(isWanted(only)), position, ...(last && { last }), more: end < feed.length }
      }),
    lastPosition: () => log.read(({ feed }) => feed.at(-1)?.position),
    endPosition: () => log.read(({ feed }) => feed.at(-1)?.position),

    readCheckpoint: (name) => log.read((state) => state.checkpoint(name)),
    acquireLease: (request) => log.change('acquireLease', request),
    renewLease: (request) => log.change('renewLease', request),
    releaseLease: (request) => log.change('releaseLease', request),
  }
}

/** A batch is one entry. Of the commits that are not JSON, which have failed by themselves, only the places are in it: others may build on them. */
async function append(log: Log, commits: readonly Commit[]): Promise<readonly CommitOutcome[]> {
  const failures = commits.map(notJson)
  if (failures.every((failure) => failure !== undefined)) return failures
  const sent = commits.map((commit, i) => (failures[i] ? placesOf(commit) : commit))
  const outcomes = await send(log, sent)
  return failures.map((failure, i) => failure ?? (outcomes[i] as CommitOutcome))
}

const placesOf = ({ id, appends, views = [] }: Commit): FailedCommit => ({
  id,
  appends: appends.map((append) => ({
    ...append,
    events: append.events.map((event) => ({ ...event, data: null, metadata: {} })),
  })),
  views: views.map((write) => ({ ...write, view: null })),
  failed: true,
})

/** Whether a request that failed has reached the log is not known, and it may still get there: sending it again with the same ids will tell. */
async function send(log: Log, commits: Request<'append'>): Promise<readonly CommitOutcome[]> {
  try {
    return await log.change('append', commits)
  } catch (cause) {
    return commits.map(() => ({ kind: 'failed', certain: false, cause }))
  }
}

function notJson(commit: Commit): CommitOutcome | undefined {
  try {
    serializeCommit(commit)
    return undefined
  } catch (cause) {
    return { kind: 'failed', certain: true, cause }
  }
}

const isWanted =
  (only: FeedRequest['only']) =>
  ({ aggregateType, type }: { readonly aggregateType: string; readonly type: string }): boolean =>
    only === undefined ||
    only.some((wanted) => wanted.aggregateType === aggregateType && (wanted.eventTypes?.includes(type) ?? true))
