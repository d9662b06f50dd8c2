import type { ConsumerCore } from '../consumers/core.ts'
import { failedEventId, findFailed } from '../consumers/failures.ts'
import type { Lifecycle } from '../util/lifecycle.ts'
import { checkCallOptions, checkPage } from '../util/options.ts'
import type { SubscriptionDefinition } from './definition.ts'
import { subscriptionConsumer } from './deliver.ts'

/** An event that was set aside, with all that its aggregate did after it. */
export interface ParkedEvent {
  /** Of the event. */
  readonly eventId: string
  /** Type of its aggregate. */
  readonly aggregateType: string
  /** Id of its aggregate, whose later events wait behind it. */
  readonly aggregateId: string
  /** Of the event. */
  readonly sequence: number
  /** What its handler threw. */
  readonly message: string
  /** How often it was tried. */
  readonly attempts: number
  /** When it was set aside first, ISO 8601. */
  readonly parkedAt: string
}

/** A page of what is parked. */
export type ListParked = (options?: {
  readonly limit?: number | undefined
  readonly after?: string | undefined
}) => Promise<{ readonly items: readonly ParkedEvent[]; readonly next?: string }>

export const parkedOf =
  (core: ConsumerCore, { name }: SubscriptionDefinition, lifecycle: Lifecycle): ListParked =>
  (options = {}) =>
    lifecycle.run(`parked of the subscription '${name}'`, async () => {
      checkCallOptions('parked', options, ['limit', 'after'])
      const { limit = 100, after } = options
      checkPage('parked', limit, after)
      const page = await findFailed(core, subscriptionConsumer(name), limit, after)
      const items = page.items.flatMap(({ value }) => {
        if (value === undefined) return []
        const { aggregateType, aggregateId, sequence, message, attempts, failedAt: parkedAt } = value
        return [{ eventId: failedEventId(value), aggregateType, aggregateId, sequence, message, attempts, parkedAt }]
      })
      return { items, ...(page.next === undefined ? {} : { next: page.next.id }) }
    })
