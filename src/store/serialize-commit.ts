import { StoreError } from '../errors.ts'
import type { Commit } from './commit.ts'
import { checkMetadata, encodePayload, type PayloadFormat } from './payload-format.ts'

/** The JSON texts of a commit, in its own order. */
export interface SerializedCommit {
  /** By append, then by event. */
  readonly events: readonly (readonly { readonly data: string; readonly metadata: string }[])[]
  /** By append; `undefined` for one without a snapshot. */
  readonly snapshots: readonly (string | undefined)[]
  /** By view; `'null'` for one that is deleted. */
  readonly views: readonly string[]
}

/**
 * What a store keeps of a commit, each part as JSON text. A commit for which this throws is
 * `failed`, `certain`, with the error as its `cause`.
 *
 * @throws StoreError `STORE_FAILED` when something in the commit is not JSON (`undefined`, a
 * function, a `bigint`, a cycle), or cannot be kept in this format (`'json'` unless given)
 * @example
 * ```ts
 * import { serializeCommit } from 'cqrs-es/store'
 *
 * const view = { name: 'balances', generation: 1, id: 'acct-1', expectedVersion: 0, view: { balance: 5 } }
 * console.log(serializeCommit({ id: 'commit-1', appends: [], views: [view] }).views) // [ '{"balance":5}' ]
 * ```
 */
export function serializeCommit(commit: Commit, format: PayloadFormat = 'json'): SerializedCommit {
  return {
    events: commit.appends.map((append) =>
      append.events.map((event) => {
        checkMetadata(format, event.id, event.metadata)
        return {
          data: encodePayload(format, event, toJson(event.data, 'event data')),
          metadata: toJson(event.metadata, 'event metadata'),
        }
      }),
    ),
    snapshots: commit.appends.map((append) => append.snapshot && toJson(append.snapshot.state, 'snapshot')),
    views: commit.views?.map((write) => toJson(write.view, 'view')) ?? [],
  }
}

function toJson(value: unknown, what: string): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (cause) {
    throw new StoreError('STORE_FAILED', `The ${what} cannot be stored: it is not JSON.`, cause)
  }
  if (text === undefined) throw new StoreError('STORE_FAILED', `The ${what} cannot be stored: it is not JSON.`)
  return text
}
