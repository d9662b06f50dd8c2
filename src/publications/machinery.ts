import { consumerOf } from '../consumers/consumer-of.ts'
import type { Machinery } from '../consumers/definitions.ts'
import { consumerHandle } from '../consumers/handle.ts'
import { connectReadSide } from '../consumers/read-side.ts'
import type { ResetOptions } from '../consumers/reset.ts'
import { failedEventsOf } from '../subscriptions/failed-events.ts'
import { resetOf } from '../subscriptions/reset.ts'
import type { PublicationHandle } from './handle.ts'
import type { PublicationDefinition } from './publication-definition.ts'
import { Publishing } from './publishing.ts'
import { replayOf } from './replay.ts'

/** Runs publications. */
export const publicationMachinery: Machinery<PublicationDefinition> = {
  connect: connectReadSide,
  run: (core) => ({
    open: (publication, lifecycle) => {
      const publishing = new Publishing(core, publication)
      const consumer = consumerOf(core, publishing)
      const reset = resetOf(core, consumer, lifecycle)
      const handle: PublicationHandle = {
        ...consumerHandle(core, consumer, lifecycle),
        ...failedEventsOf(core, publication, lifecycle),
        reset: async (options: ResetOptions) => {
          await reset(options)
          publishing.forget()
        },
        replay: replayOf(core, publication, consumer, lifecycle),
      }
      return { consumer, handle: Object.freeze(handle) }
    },
  }),
}
