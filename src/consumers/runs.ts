import type { ConsumerCore, Consumption } from './consumption.ts'
import { ByAggregate } from './sources/by-aggregate.ts'
import { Consumer } from './sources/log.ts'

/** What takes a consumer along: the log, or where the store has none, the news of each aggregate. */
export type Runs = Consumer | ByAggregate

export const runsOf = (core: ConsumerCore, consumption: Consumption): Runs =>
  core.store.capabilities.globalOrder ? new Consumer(core, consumption) : new ByAggregate(core, consumption)
