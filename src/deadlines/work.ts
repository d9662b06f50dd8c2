import { eachEnded } from '../consumers/each-ended.ts'
import { duePages, firstDueRows, nextDueRows } from '../due/due-rows.ts'
import type { AggregateDefinition } from '../execution/aggregate-definition.ts'
import type { StoredView } from '../store/store.ts'
import { deadlineName, dueOf, waitingOf } from './deadline-row.ts'
import { type DeadlineCore, type StoredDeadlines, sendDeadline } from './send-deadline.ts'

/** Aggregates in parallel. */
const mostAtOnce = 32

interface Limits {
  readonly signal: AbortSignal
  isOver(): boolean
}

interface Worked {
  /** Commands that were sent. */
  readonly steps: number
  /** Nothing due is left. */
  readonly isWhole: boolean
  readonly dueAt: string | undefined
}

/** Returns when the first deadline is due, in the past or later. */
export const firstDue = async ({ core, rows }: DeadlineCore): Promise<string | undefined> =>
  earliest(rows, await firstDueRows(core, deadlineName))

/** Sends the commands of all due deadlines, the oldest first. */
export async function sendDue(work: DeadlineCore, { signal, isOver }: Limits): Promise<Worked> {
  const { core, rows } = work
  let steps = 0
  // Send at least one, however long reading took.
  const ends = () => signal.aborted || (steps > 0 && isOver())
  const one = async (found: StoredView) => {
    const definition = ownDefinition(work, found)
    if (definition === undefined) return
    for (let row = rows.parse(found.id, found); row.value !== undefined && !ends(); ) {
      const now = core.runtime.now().toISOString()
      const due = waitingOf(row.value).find(({ command, due }) => due <= now && definition.commands.has(command))
      if (due === undefined) return
      steps++
      await sendDeadline(work, definition, row as StoredDeadlines, due.command, signal)
      row = await rows.read(core.store, found.id)
    }
  }
  for (;;) {
    const before = steps
    const now = core.runtime.now().toISOString()
    for await (const page of duePages(core, deadlineName, now)) {
      const waiting = [...page]
      const lane = async () => {
        for (let row = waiting.shift(); row !== undefined && !ends(); row = waiting.shift()) await one(row)
      }
      await eachEnded(Array.from({ length: Math.min(mostAtOnce, waiting.length) }, lane))
      if (ends()) return { steps, isWhole: false, dueAt: undefined }
    }
    // Rows that are left belong to another program.
    if (steps === before) return { steps, isWhole: true, dueAt: earliest(rows, await nextDueRows(core, deadlineName, now)) }
  }
}

/** Returns the definition of the row's aggregate, if this program has deadlines of it. */
function ownDefinition({ core, rows }: DeadlineCore, row: StoredView): AggregateDefinition | undefined {
  const definition = core.definitions.get(rows.parse(row.id, row).value?.aggregateType ?? '')
  return definition?.rules.some(({ kind }) => kind === 'deadlines') ? definition : undefined
}

const earliest = (rows: DeadlineCore['rows'], found: readonly StoredView[]): string | undefined =>
  found
    .flatMap((row) => {
      const { value } = rows.parse(row.id, row)
      return (value && dueOf(value)) ?? []
    })
    .sort()[0]
