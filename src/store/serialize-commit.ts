import { StoreError } from '../errors.ts'
import type { Commit } from './commit.ts'
import { checkMetadata, encodePayload, type PayloadFormat } from './payload-format.ts'

/** The JSON texts of a commit, in its order. */
export interface SerializedCommit {
  /** Texts of the events, by append, then by event. */
  readonly events: readonly (readonly { readonly data: string; readonly metadata: string }[])[]
  /** Texts of the snapshots, by append; `undefined` for an append without a snapshot. */
  readonly snapshots: readonly (string | undefined)[]
  /** Texts of the view rows; `'null'` for a deleted view. */
  readonly views: readonly string[]
}

/**
 * Serializes everything that a store keeps of a commit, each part as JSON text.
 *
 * If it throws, the commit is `failed`, `certain`. The thrown error is its cause.
 *
 * @throws StoreError `STORE_FAILED` if a part is not JSON (`undefined`, a function, a `bigint`, a
 * cycle) or does not fit the format (default `'json'`)
 *
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
