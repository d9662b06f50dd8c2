import type { Core } from '../execution/core.ts'
import type { ProcessorRow } from '../store/internal-rows.ts'
import { nextDue } from './find-failed.ts'
import { type Processor, setsAside } from './processor.ts'

/** What a person or another process can ask of a consumer while it is idle. */
export interface Asked {
  /** Id of its row. */
  readonly name: string
  /** By what the row says now: whether something was asked for since the last run. */
  isAsked(row: ProcessorRow | undefined): boolean
  /** Something that failed is to be tried again now. */
  isDue(): Promise<boolean>
}

/** How a processor that acts learns of what was asked for since its run saw `touched`. */
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
