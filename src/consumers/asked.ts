import type { Core } from '../execution/core.ts'
import type { ProcessorRow } from '../store/internal-rows.ts'
import { nextDue } from './find-failed.ts'
import { type Processor, setsAside } from './processor.ts'

/** Requests of an operator or another process to an idle consumer. */
export interface Asked {
  /** Id of the processor row. */
  readonly name: string
  /** Returns whether the row has a request that came after the last run. */
  isAsked(row: ProcessorRow | undefined): boolean
  /** Returns whether a failed event is due for a retry. */
  isDue(): Promise<boolean>
}

/** Returns how an acting processor learns of requests that came after its run read `touched`. */
export const askedOf = (core: Core, processor: Processor, touched: () => number): Asked | undefined =>
  processor.mode === 'fold'
    ? undefined
    : {
        name: processor.name,
        isAsked: (row) => (row?.touched ?? 0) !== touched(),
        isDue: async () => {
          const due = setsAside(processor) ? await nextDue(core, processor.name) : undefined
          return due !== undefined && due <= core.runtime.now()
        },
      }
