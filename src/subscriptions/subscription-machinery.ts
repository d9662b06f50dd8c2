import type { Machinery, SubscriptionDefinition } from './definitions.ts'
import { followerHandle } from './handle.ts'
import { parkedOf } from './parked.ts'
import { connectReadSide } from './read-side.ts'
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
