import { DefinitionError, isCqrsError, ValidationError } from '../errors.ts'
import type { CloudEvent } from '../publications/cloud-event.ts'
import { sha256 } from '../util/digest.ts'
import { issuesText } from '../util/issues.ts'
import { isObject } from '../util/json.ts'
import { unknownKey } from '../util/options.ts'
import type { ClosedInbox } from './build-inbox.ts'
import { checkCloudEvent } from './check-cloud-event.ts'
import type { InboxHandle, Received } from './handle.ts'
import type { InboxDefinition } from './inbox-definition.ts'

/** Returns how to open an inbox in an app. */
export const receiving =
  (inbox: ClosedInbox): InboxDefinition['open'] =>
  (lifecycle, handleOf): InboxHandle => {
    const at = `receive of the inbox '${inbox.name}'`
    const receive = async (message: CloudEvent): Promise<Received> => {
      const command = await commandOf(inbox, message)
      if (command === undefined) return { outcome: 'ignored' }
      const { to, id, ...rest } = command
      try {
        const result = await handleOf(to).execute(id, rest, await optionsOf(message))
        if (!result.ok) return { outcome: 'refused', reason: result.reason }
        return { outcome: result.replayed ? 'repeated' : result.events.length > 0 ? 'stored' : 'nothing' }
      } catch (error) {
        // An earlier delivery stored another command: the mapping has changed since.
        if (isCqrsError(error, 'IDEMPOTENCY')) return { outcome: 'repeated' }
        throw error
      }
    }
    return Object.freeze({ receive: (message: CloudEvent) => lifecycle.run(at, () => receive(message)) })
  }

/** The parts of the key are unambiguous: no URI reference has a line break. */
async function optionsOf({ source, id, correlationid, traceparent }: CloudEvent) {
  const idempotencyKey = await sha256(`${source}\n${id}`)
  const trace = traceparent === undefined ? {} : { traceparent }
  return { idempotencyKey, metadata: { causationId: id, correlationId: correlationid ?? id, source, ...trace } }
}

interface Command {
  readonly to: string
  readonly id: unknown
  readonly type: unknown
  readonly data?: unknown
}

/** @throws ValidationError, DefinitionError, errors of the mapping */
async function commandOf(inbox: ClosedInbox, message: CloudEvent): Promise<Command | undefined> {
  const at = `Inbox '${inbox.name}': the message`
  checkCloudEvent(at, message)
  const { type, source, id, data } = message
  const parser = inbox.messages.get(type)
  if (parser === undefined || inbox.sources?.has(source) === false) return undefined
  const parsed = await parser.parse(data)
  if (parsed.issues !== undefined)
    throw new ValidationError(`${at} '${id}' of ${source} does not fit ${type}: ${issuesText(parsed.issues)}.`, parsed.issues)
  const mapped = inbox.mappings.get(type)?.({ ...message, data: parsed.value })
  if (mapped === undefined) return undefined
  const wrong = `Inbox '${inbox.name}': the mapping of ${type} must return a command { to, id, type, data } or undefined`
  if (!isObject(mapped) || unknownKey(mapped, ['to', 'id', 'type', 'data']) !== undefined) throw new DefinitionError(`${wrong}.`)
  const command = mapped as Command
  if (inbox.sends.includes(command.to)) return command
  throw new DefinitionError(`${wrong}: to is '${String(command.to)}', but sends has ${inbox.sends.join(', ')}.`)
}
