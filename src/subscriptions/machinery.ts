import type { Machinery } from '../consumers/definitions.ts'
import { followerHandle } from '../consumers/handle.ts'
import { connectReadSide } from '../consumers/read-side.ts'
import type { SubscriptionDefinition } from './definition.ts'
import { parkedOf } from './parked.ts'
import { SubscriptionFollower } from './subscription-follower.ts'

/** What runs subscriptions. */
export const subscriptionMachinery: Machinery<SubscriptionDefinition> = {
  connect: connectReadSide,
  run: (core) => ({
    open: (subscription, lifecycle, app) => {
      const follower = new SubscriptionFollower(core, subscription, app)
      const handle = { ...followerHandle(core, follower, lifecycle), parked: parkedOf(core, subscription, lifecycle) }
      return { follower, handle: Object.freeze(handle) }
    },
  }),
}
