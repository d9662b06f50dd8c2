import type { ConsumerDefinition, Machinery } from '../consumers/definitions.ts'
import type { Processor } from '../consumers/processor.ts'
import { DefinitionError } from '../errors.ts'
import type { EventEnvelope, Position } from '../event-envelope.ts'
import type { Parser } from '../evolution/schema.ts'
import type { Target } from './target.ts'

/** A checked publication to one target, with erased types. */
export interface PublicationDefinition extends ConsumerDefinition {
  readonly kind: 'publication'
  /** Name of the contract, without the target. */
  readonly contract: string
  readonly source: string
  readonly from: 'beginning' | 'now' | Position
  readonly onFailure: Processor['onFailure']
  readonly timeoutMs: number
  readonly partitions: number
  /** By event type. */
  readonly events: ReadonlyMap<string, Contract>
  readonly target: Target
  readonly machinery: Machinery<PublicationDefinition>
}

/** The public form of one event, types erased. */
export interface Contract {
  /** CloudEvents type. */
  readonly type: string
  readonly parser: Parser
  readonly map: (event: EventEnvelope) => unknown
  readonly subject: ((event: EventEnvelope) => unknown) | undefined
}

/** @throws DefinitionError when `value` is not a publication with a target */
export function publicationDefinitionOf(what: string, value: unknown): PublicationDefinition {
  const { '~definition': definition, to } = (value ?? {}) as { '~definition'?: PublicationDefinition; to?: unknown }
  if (definition?.kind === 'publication') return definition
  const isOpen = typeof to === 'function'
  throw new DefinitionError(
    isOpen
      ? `${what} has no target. Name one: ${what.split('.').pop()}: publication.to(kafka(producer, { topic: 'orders' })).`
      : `${what} must be a publication made by definePublication(…).to(target).`,
  )
}
