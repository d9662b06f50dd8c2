/**
 * One thing that happened, for tracing, metrics and logs. `ms` is how long it took by the runtime's clock. Narrow on `kind`; new kinds and new
 * details may be added at any time.
 */
export type Observation =
  | {
      readonly kind: 'command'
      readonly aggregateType: string
      readonly aggregateId: string
      readonly command: string
      readonly outcome: 'stored' | 'nothing' | 'rejected' | 'replayed' | 'failed'
      /** How many times it was decided. */
      readonly attempts: number
      readonly ms: number
      readonly error?: unknown
    }
  | {
      readonly kind: 'load'
      readonly aggregateType: string
      readonly aggregateId: string
      /** What the read started from. */
      readonly from: 'start' | 'snapshot' | 'cache'
      readonly events: number
      readonly sequence: number
      readonly ms: number
    }
  | {
      readonly kind: 'append'
      readonly aggregateType: string
      readonly aggregateId: string
      readonly commitId: string
      readonly events: number
      readonly outcome: 'stored' | 'repeated' | 'conflict' | 'failed'
      /** How many commits were sent together with this one, itself included. */
      readonly batch: number
      readonly ms: number
    }
  | {
      /**
       * Something is done once more. `sequence`: the command is decided again. `view`, `generation`: only the inline views are computed again.
       * `unknown-outcome`: the same commit is sent again.
       */
      readonly kind: 'retry'
      readonly aggregateType: string
      readonly aggregateId: string
      readonly attempt: number
      readonly on: 'sequence' | 'view' | 'generation' | 'unknown-outcome'
    }
  | {
      /** The handler of a subscription failed, or an event could not be read. */
      readonly kind: 'delivery'
      readonly subscription: string
      readonly eventId: string
      readonly attempt: number
      readonly error: unknown
    }
  | {
      /** An event was set aside, and its aggregate with it. */
      readonly kind: 'parked'
      readonly subscription: string
      readonly eventId: string
      readonly error: unknown
    }
  | {
      /** An event, or a view, is left to a newer program. Told once for each event. `name`: as in messages. */
      readonly kind: 'outdated'
      readonly name: string
      /** Left out where it is the view. */
      readonly eventId?: string
      /** Names the event, its version and the one that this program knows. */
      readonly error: unknown
    }
  | {
      /** A subscription or a view stopped, or will try again later. `name`: as in messages. */
      readonly kind: 'following'
      readonly name: string
      readonly error: unknown
    }
  | { readonly kind: 'query'; readonly query: number; readonly events: number; readonly ms: number; readonly error?: unknown }
