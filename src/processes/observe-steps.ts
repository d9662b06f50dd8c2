import type { Core } from '../execution/core.ts'
import { type InstanceRow, isStuck } from './instance-row.ts'

/** An input that an instance has processed. */
export interface Observed {
  readonly id: string
  /** Id of an event, number of a send, or `timer <name>`. */
  readonly at: string
  /** The instance after it. */
  readonly row: InstanceRow
  readonly error?: unknown
}

/** Reports stored steps to the observer. */
export function observeSteps({ observe }: Pick<Core, 'observe'>, process: string, steps: readonly Observed[]): void {
  if (observe === undefined) return
  for (const { id, at, row, error } of steps) {
    const failed = isStuck(row) ? 'stuck' : row.todo[0]?.notBefore === undefined ? undefined : 'retrying'
    const outcome = (error === undefined ? undefined : failed) ?? (row.ended === undefined ? 'processed' : 'ended')
    observe({ kind: 'step', process, instance: id, at, outcome, ...(error === undefined ? {} : { error }) })
  }
}
