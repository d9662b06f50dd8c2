import { StoreError } from '../errors.ts'
import type { Commit } from './commit.ts'
import { checkMetadata, encodePayload, type PayloadFormat } from './payload-format.ts'

/** The JSON texts of a commit, in its own order. */
export interface CommitTexts {
  readonly events: readonly (readonly { readonly data: string; readonly metadata: string }[])[]
  readonly snapshots: readonly (string | undefined)[]
  readonly views: readonly string[]
}

/** @throws StoreError when something in the commit is not JSON, or cannot be kept in this format */
export function toTexts(commit: Commit, format: PayloadFormat = 'json'): CommitTexts {
  return {
    events: commit.appends.map((append) =>
      append.events.map((event) => {
        checkMetadata(format, event.id, event.metadata)
        return {
          data: encodePayload(format, event.type, toJson(event.data, 'event data')),
          metadata: toJson(event.metadata, 'event metadata'),
        }
      }),
    ),
    snapshots: commit.appends.map((append) => append.snapshot && toJson(append.snapshot.state, 'snapshot')),
    views: commit.views?.map((write) => toJson(write.view, 'view')) ?? [],
  }
}

/** The text a store keeps of a value. @throws StoreError when the value has none (`undefined`, a function, a `bigint`, a cycle). */
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
