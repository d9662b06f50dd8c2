/**
 * One observed action or failure, for tracing, metrics and logs.
 *
 * Narrow on `kind`. New kinds and details may be added at any time. `ms` is the duration by the
 * runtime's clock.
 */
export type Observation =
  | {
      readonly kind: 'command'
      readonly aggregateType: string
      readonly aggregateId: string
      readonly command: string
      readonly outcome: 'stored' | 'nothing' | 'rejected' | 'replayed' | 'failed'
      /** How often the command was decided. */
      readonly attempts: number
      readonly ms: number
      readonly error?: unknown
    }
  | {
      readonly kind: 'load'
      readonly aggregateType: string
      readonly aggregateId: string
      /** Where the read started. */
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
      /** Number of commits in the append, including this one. */
      readonly batch: number
      readonly ms: number
    }
  | {
      /**
       * A retry. For `sequence`, the command is decided again. For `view` and `generation`, only
       * the inline views are computed again. For `unknown-outcome`, the same commit is sent again.
       */
      readonly kind: 'retry'
      readonly aggregateType: string
      readonly aggregateId: string
      readonly attempt: number
      readonly on: 'sequence' | 'view' | 'generation' | 'unknown-outcome'
    }
  | {
      /** A publication sent messages. Each of `failed` is also reported as `delivery`, once it is next. */
      readonly kind: 'published'
      readonly publication: string
      readonly target: string
      /** Number of acknowledged messages. */
      readonly messages: number
      readonly failed: number
      readonly ms: number
    }
  | {
      /** The handler of a subscription or a publication failed, or an event could not be read. */
      readonly kind: 'delivery'
      readonly subscription: string
      readonly eventId: string
      readonly attempt: number
      readonly error: unknown
    }
  | {
      /** An event was parked; the later events of its aggregate wait. */
      readonly kind: 'parked'
      readonly subscription: string
      readonly eventId: string
      readonly error: unknown
    }
  | {
      /**
       * An event or a view needs a newer program. Reported once per event. `name`: as in messages.
       */
      readonly kind: 'outdated'
      readonly name: string
      /** Absent if it is the view. */
      readonly eventId?: string
      /** Names the event, its version and the version that this program knows. */
      readonly error: unknown
    }
  | {
      /** A subscription or a view has stopped, or will retry later. `name`: as in messages. */
      readonly kind: 'following'
      readonly name: string
      readonly error: unknown
    }
  | {
      /** An instance of a process has processed an input, and the result is stored. */
      readonly kind: 'step'
      readonly process: string
      readonly instance: string
      /** Id of an event, number of a command or call whose reply it is, or `timer <name>`. */
      readonly at: string
      /** With `retrying`, a command or call has failed and is sent again later. */
      readonly outcome: 'processed' | 'ended' | 'stuck' | 'retrying'
      readonly error?: unknown
    }
  | {
      /** An external call of a process has ended. */
      readonly kind: 'call'
      readonly process: string
      readonly instance: string
      readonly call: string
      readonly key: string
      readonly attempt: number
      readonly ms: number
      readonly error?: unknown
    }
  | { readonly kind: 'query'; readonly query: number; readonly events: number; readonly ms: number; readonly error?: unknown }
