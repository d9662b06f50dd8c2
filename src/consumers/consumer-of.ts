import type { ResettableConsumer } from './consumer.ts'
import type { ConsumerCore } from './core.ts'
import type { Processor } from './processor.ts'
import { AggregatesConsumer } from './sources/aggregates.ts'
import { LogConsumer } from './sources/log.ts'

/**
 * Returns a consumer for a processor. It reads the log, or without a global order aggregate by
 * aggregate.
 */
export const consumerOf = (core: ConsumerCore, processor: Processor): ResettableConsumer =>
  core.store.capabilities.globalOrder ? new LogConsumer(core, processor) : new AggregatesConsumer(core, processor)
