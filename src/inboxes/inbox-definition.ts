import { DefinitionError } from '../errors.ts'
import type { Parser } from '../evolution/schema.ts'
import type { ExecuteOptions } from '../execution/call.ts'
import type { Rejected } from '../execution/result.ts'
import type { CloudEvent } from '../publications/cloud-event.ts'
import type { Lifecycle } from '../util/lifecycle.ts'

/** A checked inbox with erased types. */
export interface InboxDefinition {
  readonly kind: 'inbox'
  readonly name: string
  /** The same as `name`. */
  readonly storedAs: string
  /** By CloudEvents type. */
  readonly messages: ReadonlyMap<string, Parser>
  /** `undefined`: all. */
  readonly sources: ReadonlySet<string> | undefined
  /** Types of the aggregates. */
  readonly sends: readonly string[]
  readonly mappings: ReadonlyMap<string, (message: CloudEvent) => unknown>
  /** Opens it in an app. It comes with the definition, so that only programs with inboxes load it. */
  readonly open: (lifecycle: Lifecycle, handleOf: (aggregateType: string) => Executing) => object
}

/** The part of an aggregate's handle that an inbox needs, types erased. */
export interface Executing {
  execute(
    id: unknown,
    command: object,
    options: ExecuteOptions,
  ): Promise<{ ok: true; events: readonly object[]; replayed: boolean } | Rejected>
}

/**
 * `types`: the aggregate types of the app.
 *
 * @throws DefinitionError when `value` is not an inbox, or sends to an aggregate that the app lacks
 */
export function inboxDefinitionOf(what: string, value: unknown, types: ReadonlySet<string>): InboxDefinition {
  const { '~definition': definition, implement } = (value ?? {}) as { '~definition'?: InboxDefinition; implement?: unknown }
  if (definition?.kind !== 'inbox') {
    const isOpen = typeof implement === 'function'
    throw new DefinitionError(
      isOpen
        ? `${what} has no behavior. Call implement({ … }) on the result of defineInbox.`
        : `${what} must be an inbox made by defineInbox(…).implement({ … }).`,
    )
  }
  const missing = definition.sends.find((type) => !types.has(type))
  if (missing !== undefined)
    throw new DefinitionError(
      `createApp: the inbox '${definition.name}' sends to the aggregate '${missing}', which is not among aggregates. Add it.`,
    )
  return definition
}
