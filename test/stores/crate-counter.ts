import { defineAggregate, noData, typed } from 'cqrs-es'
import type { InexactNumbers, PayloadFormat } from 'cqrs-es/store'

/** How the Rust fixtures are read: two of their variants have other names than their event types, and two of their numbers are beyond 2^53. */
export const rustFormat: { payloadFormat: PayloadFormat; inexactNumbers: InexactNumbers } = {
  payloadFormat: { serdeEnum: { 'order.opened': 'Opened', NoteAdded: 'note-added' } },
  inexactNumbers: 'text',
}

/** What a stored payload holds when it is read so. */
export const payloadIn = (json: string): unknown => JSON.parse(json.replace(/9007199254740993|-9223372036854775808/, '"$&"'))

/** The same without the name of the variant around it. */
export function dataIn(json: string): unknown {
  const payload = payloadIn(json)
  return typeof payload === 'string' ? {} : Object.values(payload as object)[0]
}

/** The counter of the Rust fixtures, as a TypeScript program writes it; with a snapshot at every commit. */
export const counter = defineAggregate({
  type: 'counter',
  events: { Added: typed<{ by: number }>(), Counted: typed<number>(), Reset: noData },
  commands: { Add: typed<{ by: number }>(), Reset: noData },
  initialState: () => ({ count: 0, value: 0 }),
  snapshots: 'always',
}).implement({
  handle: {
    Add: (_, { by }) => ({ type: 'Added', data: { by } }),
    Reset: () => ({ type: 'Reset' }),
  },
  apply: {
    Added: ({ count, value }, { by }) => ({ count: count + 1, value: value + by }),
    Counted: ({ count }, value) => ({ count: count + 1, value }),
    Reset: ({ count }) => ({ count: count + 1, value: 0 }),
  },
})
