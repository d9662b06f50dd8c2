import { IdempotencyError, ValidationError } from '../errors.ts'
import type { Commit } from '../store/commit.ts'
import { sha256 } from '../util/digest.ts'
import { issuesText, notJsonIssue } from '../util/issues.ts'
import { canonicalJson } from '../util/json.ts'
import { refusing } from '../util/refusing.ts'
import type { AggregateDefinition } from './aggregate-definition.ts'
import type { AggregateSlot } from './aggregate-slot.ts'
import type { Call } from './call.ts'
import type { Core } from './core.ts'
import { loadAggregate, readEvents } from './load.ts'
import { checkStorable } from './parse-command.ts'
import type { Accepted } from './result.ts'

/**
 * SHA-256 of the command's type and data as canonical JSON, in hexadecimal.
 *
 * @throws ValidationError if they are not JSON
 */
export async function commandHash(aggregateType: string, call: Call): Promise<string> {
  const { type, data } = call.command
  checkStorable(aggregateType, call, data)
  return sha256(canonical(aggregateType, call, { type, data: data ?? null }))
}

function canonical(aggregateType: string, call: Call, command: unknown): string {
  try {
    return canonicalJson(command)
  } catch (error) {
    const issue = notJsonIssue(error)
    throw refusing(
      new ValidationError(
        `${call.command.type} on ${aggregateType} '${call.aggregateId}' has an idempotencyKey, so its data must be JSON: ${issuesText([issue])}.`,
        [issue],
        error,
      ),
      command,
    )
  }
}

/**
 * The outcome of the first execution under this key, `undefined` if there was none.
 *
 * @throws IdempotencyError if it was another command
 */
export async function findReplay(
  core: Core,
  slot: AggregateSlot,
  definition: AggregateDefinition,
  call: Call,
  { idempotencyKey, commandHash: hash }: NonNullable<Commit['key']>,
): Promise<Accepted | undefined> {
  const { aggregateId, signal } = call
  const key = await core.store.readKey({ aggregateType: definition.type, aggregateId, idempotencyKey })
  if (key === undefined) return undefined
  if (key.commandHash !== hash) throw keyTaken(definition.type, call, idempotencyKey)
  const request = { definition, aggregateId, upTo: key.lastSequence, signal }
  const events = []
  for await (const event of readEvents(core, request, key.firstSequence - 1)) events.push(event)
  const { state, sequence } = await loadAggregate(core, slot, request)
  return { ok: true, state, sequence, events, replayed: true }
}

/** The key was used for another command. */
export const keyTaken = (
  aggregateType: string,
  { aggregateId, metadata }: Pick<Call, 'aggregateId' | 'metadata'>,
  idempotencyKey: string,
) => {
  // Only an event's reaction is likely to say what caused it.
  const way =
    metadata.causationId === undefined ? 'Use a new key for a new command' : `Name each command of a handler: reaction('first')`
  return new IdempotencyError(
    `The idempotencyKey '${idempotencyKey}' was already used on ${aggregateType} '${aggregateId}' with a different command. ${way}.`,
  )
}
