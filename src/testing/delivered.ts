import type { AnyAggregate, CommandOf } from '../aggregate.ts'
import { definitionOf } from '../aggregate-definition.ts'
import { messageOf } from '../errors.ts'
import type { EventEnvelope } from '../event-envelope.ts'
import type { ExecuteOptions } from '../execution/call.ts'
import { checkFunction, checkOptions } from '../options.ts'
import type { SubscriptionDefinition } from '../subscriptions/definitions.ts'
import { reactionTo } from '../subscriptions/reaction.ts'
import { assertEqual, fail, shown } from './assert.ts'
import { FakeApp } from './fake-app.ts'
import { assertFollows } from './scene.ts'

/** A command that a handler sent. */
export interface SentCommand {
  /** As the handler gave it to `app.aggregate`. */
  readonly aggregate: AnyAggregate
  /** Id of the aggregate. */
  readonly id: string
  /** A copy of the command as the handler sent it. */
  readonly command: { readonly type: string; readonly data?: unknown }
  /** What the handler gave besides, such as what `reaction()` made. */
  readonly options: ExecuteOptions
}

/** What `execute` answers in a test: accepted (what is left out is as for a command that decided nothing), or refused. */
export type Answer =
  | {
      readonly ok: true
      readonly events?: readonly EventEnvelope[]
      readonly state?: unknown
      readonly sequence?: number
      readonly replayed?: boolean
    }
  | { readonly ok: false; readonly reason: string; readonly details?: unknown }

/** How commands come out in a test. */
export interface DeliveryOptions {
  /** What a command comes to; what it throws, `execute` rejects with. `undefined`, and the default: it is accepted, with no events, the initial state and sequence 0. */
  readonly answer?: (sent: SentCommand) => Answer | undefined | Promise<Answer | undefined>
}

/** A command that a test expects. */
export interface ExpectedCommand<A> {
  /** The aggregate it is for. */
  readonly aggregate: A
  /** Id of the aggregate. */
  readonly id: string
  /** As the handler sends it. */
  readonly command: CommandOf<NoInfer<A>>
}

/** One for each of these aggregates. */
export type ExpectedCommands<A extends readonly AnyAggregate[]> = { readonly [I in keyof A]: ExpectedCommand<A[I]> }

/**
 * The events of a log on their way to a subscription, in order: one by one to `handle`, or up to `batchSize` at once to `handleBatch`. Each `then…` hands them over anew. Each event is
 * delivered once, from the beginning: `from`, `onFailure`, `attempts` and `timeoutMs` are for a real app.
 */
export interface DeliveredTo {
  /** The handler succeeds, and sends exactly these commands in this order. What it throws passes through. */
  thenCommands<const A extends readonly AnyAggregate[]>(expected: ExpectedCommands<A>): Promise<void>
  /** The handler fails, and the message of its error has this part. */
  thenFails(message: string): Promise<void>
  /** The commands it sent, with their options, for whatever else. What the handler throws passes through. */
  inspect(): Promise<readonly SentCommand[]>
}

export function deliveredTo(
  definition: SubscriptionDefinition,
  log: { readonly events: readonly EventEnvelope[]; readonly aggregateTypes: readonly string[] },
  options: DeliveryOptions = {},
): DeliveredTo {
  checkOptions('deliveredTo', options, ['answer'])
  if (options.answer !== undefined) checkFunction('deliveredTo: answer', options.answer)
  const title = `The subscription '${definition.name}'`
  const run = async () => {
    assertFollows(title, definition.aggregateTypes, log.aggregateTypes)
    return deliver(definition, log.events, new FakeApp(title, options.answer))
  }
  const succeeded = async () => {
    const { sent, failure } = await run()
    if (failure !== undefined) throw failure.error
    return sent
  }
  return Object.freeze({
    thenCommands: async (expected: readonly ExpectedCommand<AnyAggregate>[]) => {
      const wanted = expected.map(({ aggregate, id, command }, i) => {
        const { type } = definitionOf(`thenCommands: [${i}].aggregate`, aggregate)
        return { aggregate: type, id, command }
      })
      const sent = (await succeeded()).map(({ aggregate, id, command }) => ({ aggregate: aggregate.type, id, command }))
      assertEqual(`What the subscription '${definition.name}' sent`, sent, wanted)
    },
    thenFails: async (message: string) => {
      const { sent, failure } = await run()
      if (failure === undefined) {
        const commands = sent.map(({ aggregate, id, command }) => ({ aggregate: aggregate.type, id, command }))
        fail(
          `${title} was expected to fail (${message}), but succeeded with ${sent.length === 0 ? 'no commands' : shown(commands)}.`,
        )
      }
      const said = messageOf(failure.error)
      if (!said.includes(message))
        fail(
          `The failure of the subscription '${definition.name}' differs.\n  expected: a message with ${shown(message)}\n  actual:   ${shown(said)}`,
        )
    },
    inspect: succeeded,
  })
}

/** @throws AssertionError for what no real app could tell apart, or would do otherwise */
async function deliver(
  { name, aggregateTypes, eventTypes, batchSize, handle }: SubscriptionDefinition,
  log: readonly EventEnvelope[],
  app: FakeApp,
): Promise<{ readonly sent: readonly SentCommand[]; readonly failure?: { readonly error: unknown } }> {
  const { signal } = new AbortController()
  const followed = log.filter(({ aggregateType }) => aggregateTypes.includes(aggregateType))
  for (let start = 0; start < followed.length; start += batchSize) {
    const page = followed.slice(start, start + batchSize)
    const events = page.filter(({ type }) => eventTypes === undefined || eventTypes.has(type))
    const [first] = events
    if (first === undefined) continue
    const context = { app: app.forHandler, signal, attempt: 1, reaction: await reactionTo(name, first) }
    try {
      await handle(events, context)
    } catch (error) {
      await app.settle()
      return { sent: app.sent, failure: { error } }
    }
    await app.finish()
  }
  return { sent: app.sent }
}
