import type { Entry, Missing } from '../commands/compare.ts'
import type { ReadLine } from '../commands/read.ts'
import type { Figure } from '../report.ts'

export type StoredEntry = Omit<Entry, 'samples'> | Missing

/** The file bench/results/goals.json, and that of `growth`. */
export interface Measured {
  readonly settings: {
    readonly node: string
    readonly cpu?: string
    readonly cores: number
    readonly rounds: number
    readonly servers: readonly string[]
    readonly networks: Readonly<Record<string, { readonly direct: number; readonly through: number }>>
    readonly minutes: number
  }
  readonly results: readonly StoredEntry[]
  /** By `keyOf` of the other system. */
  readonly spreadOfRatios: Readonly<Record<string, Figure>>
  readonly client: {
    readonly results: readonly { readonly store: string; readonly 'CPU µs': Figure }[]
  }
  readonly append: {
    readonly results: readonly {
      readonly store: string
      readonly event: string
      readonly serverMicroseconds: Figure
      readonly logBytes?: Figure
    }[]
  }
  readonly http: readonly { readonly settings: { readonly node: string }; readonly added: number }[]
  readonly log: ReadLine
  readonly importMs: Figure
  readonly growth?: {
    readonly settings: { readonly sizes: { readonly large: number } }
    readonly results: readonly { readonly what: string; readonly ratio: Figure; readonly serverCpuRatio: Figure }[]
  }
}
