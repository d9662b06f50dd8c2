import { consumerOf } from '../consumers/consumer-of.ts'
import type { Machinery } from '../consumers/definitions.ts'
import { consumerHandle } from '../consumers/handle.ts'
import { connectReadSide } from '../consumers/read-side.ts'
import type { SubscriptionDefinition } from './definition.ts'
import { Delivery } from './deliver.ts'
import { failedEventsOf } from './failed-events.ts'
import { resetOf } from './reset.ts'

/** Runs subscriptions. */
export const subscriptionMachinery: Machinery<SubscriptionDefinition> = {
  connect: connectReadSide,
  run: (core) => ({
    open: (subscription, lifecycle, app) => {
      const consumer = consumerOf(core, new Delivery(core, subscription, app))
      const handle = {
        ...consumerHandle(core, consumer, lifecycle),
        ...failedEventsOf(core, subscription, lifecycle),
        reset: resetOf(core, consumer, lifecycle),
      }
      return { consumer, handle: Object.freeze(handle) }
    },
  }),
}
