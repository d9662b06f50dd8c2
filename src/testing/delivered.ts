import type { AnyAggregate, CommandOf } from '../aggregate.ts'
import { messageOf } from '../errors.ts'
import type { EventEnvelope } from '../event-envelope.ts'
import { definitionOf } from '../execution/aggregate-definition.ts'
import type { ReadonlyData } from '../message.ts'
import type { SubscriptionDefinition } from '../subscriptions/definition.ts'
import { OnceCalls } from '../subscriptions/once.ts'
import { reactionsTo } from '../subscriptions/reaction.ts'
import { checkFunction, checkOptions } from '../util/options.ts'
import { assertEqual, fail, shown } from './assert.ts'
import { type DeliveryOptions, FakeApp, type SentCommand } from './fake-app.ts'
import { assertFollows } from './scene.ts'

/** A command that a test expects. */
export interface ExpectedCommand<A> {
  /** The aggregate that receives it. */
  readonly aggregate: A
  /** Id of the aggregate. */
  readonly id: string
  /** The command as the handler sends it. */
  readonly command: ReadonlyData<CommandOf<NoInfer<A>>>
}

/** One expected command for each of these aggregates. */
export type ExpectedCommands<A extends readonly AnyAggregate[]> = { readonly [I in keyof A]: ExpectedCommand<A[I]> }

/**
 * The events of a log on their way to a subscription. Each `then…` delivers them again.
 *
 * Each event is delivered once, in order: one by one to `handle`, or up to `batchSize` at once to
 * `handleBatch`. Delivery starts at the beginning. The options `from`, `onFailure`, `maxAttempts`
 * and `timeoutMs` need a real app.
 */
export interface DeliveredTo {
  /**
   * Expects that the handler succeeds and sends exactly these commands, in this order.
   *
   * An exception of the handler passes through.
   */
  thenCommands<const A extends readonly AnyAggregate[]>(expected: ExpectedCommands<A>): Promise<void>
  /** Expects that the handler fails with an error whose message contains this text. */
  thenFails(message: string): Promise<void>
  /** Returns the sent commands with their options. An exception of the handler passes through. */
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
      assertEqual(`The list of commands that the subscription '${definition.name}' sent`, (await succeeded()).map(plain), wanted)
    },
    thenFails: async (message: string) => {
      const { sent, failure } = await run()
      if (failure === undefined)
        fail(
          `${title} was expected to fail (${message}), but succeeded with ${sent.length === 0 ? 'no commands' : shown(sent.map(plain))}.`,
        )
      const said = messageOf(failure.error)
      if (!said.includes(message))
        fail(
          `The failure of the subscription '${definition.name}' differs.\n  expected: a message with ${shown(message)}\n  actual:   ${shown(said)}`,
        )
    },
    inspect: succeeded,
  })
}

/** The parts that are compared and shown. */
const plain = ({ aggregate, id, command }: SentCommand) => ({ aggregate: aggregate.type, id, command })

/**
 * Delivers up to the first failure, in the same batches as an app.
 *
 * @throws AssertionError for a mistake of the handler that a test must not ignore
 */
async function deliver(
  definition: SubscriptionDefinition,
  log: readonly EventEnvelope[],
  app: FakeApp,
): Promise<{ readonly sent: readonly SentCommand[]; readonly failure?: { readonly error: unknown } }> {
  const { signal } = new AbortController()
  const { aggregateTypes, eventTypes, batchSize, isBatched, handle } = definition
  const followed = log.filter(({ aggregateType }) => aggregateTypes.includes(aggregateType))
  for (let start = 0; start < followed.length; start += batchSize) {
    const page = followed.slice(start, start + batchSize)
    const events = page.filter(({ type }) => eventTypes === undefined || eventTypes.has(type))
    if (events.length === 0) continue
    const { reaction, scope } = await reactionsTo(definition, events)
    const calls = isBatched ? undefined : new OnceCalls(definition, events[0] as EventEnvelope)
    try {
      await handle(events, { app: app.forHandler, signal, attempt: 1, reaction, ...(calls && { once: calls.once }) })
    } catch (error) {
      await app.settle()
      return { sent: app.sent, failure: { error } }
    }
    await app.finish()
    if (scope.misuse !== undefined) return { sent: app.sent, failure: { error: scope.misuse } }
  }
  return { sent: app.sent }
}
