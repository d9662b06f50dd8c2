import type { ResettableConsumer } from './consumer.ts'
import type { ConsumerCore } from './core.ts'
import type { Processor } from './processor.ts'
import { AggregatesConsumer } from './sources/aggregates.ts'
import { LogConsumer } from './sources/log.ts'

/** Feeds a processor: from the log, or where the store has no global order, aggregate by aggregate. */
export const consumerOf = (core: ConsumerCore, processor: Processor): ResettableConsumer =>
  core.store.capabilities.globalOrder ? new LogConsumer(core, processor) : new AggregatesConsumer(core, processor)
