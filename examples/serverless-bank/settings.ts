/** Settings of the stack in AWS, and of the local run in its place. */

import type { DynamoDbTables } from 'cqrs-es/dynamodb'

/** Role of a table. */
export type TableRole = keyof DynamoDbTables

/** Environment variables with the names of the tables. */
export const tableVariables: Readonly<Record<TableRole, string>> = {
  events: 'EVENTS_TABLE',
  snapshots: 'SNAPSHOTS_TABLE',
  views: 'VIEWS_TABLE',
  meta: 'META_TABLE',
}

/** Delivery of the events table's stream to the function `stream`. */
export const streamSettings = {
  /**
   * Records per call, at most. They are ordered per aggregate, and a call processes each aggregate
   * once, however many records it has.
   */
  batchSize: 100,
  /**
   * Retries of a batch without progress. Given-up records go to the dead-letter queue, and the next
   * `drain` finds their aggregates.
   */
  retryAttempts: 8,
  /** Older records are given up: long before DynamoDB forgets them, after 24 hours. */
  maxRecordAgeSeconds: 12 * 60 * 60,
} as const

/** Delivery of messages to the function `queue`. */
export const queueSettings = {
  /**
   * With 1, a failing message holds up the others of its group before their delivery. In a larger
   * batch they would be delivered, and given up with it without being run.
   */
  batchSize: 1,
  /** Deliveries of a message before it goes to the dead-letter queue. */
  maxReceiveCount: 5,
} as const

/**
 * Memory in MB, which is also the share of a processor: 1,769 MB are a whole one. Timeouts in
 * seconds are far above the duration of a call; they end calls that hang.
 */
export const functionSettings = {
  /**
   * People wait for it: cold starts and JSON need a processor. API Gateway gives up after 30 s, and
   * the store before that, after 5 s of throttling.
   */
  command: { memory: 1024, timeout: 15 },
  /** A batch of 100 aggregates with views and transfers, one after another. */
  stream: { memory: 512, timeout: 60 },
  /** One command. A message stays invisible for six times this timeout, as AWS advises. */
  queue: { memory: 512, timeout: 30 },
  /**
   * Scans every aggregate, and continues on the next day if its time is over: the longest timeout
   * of Lambda.
   */
  drain: { memory: 512, timeout: 900 },
} as const

export type FunctionName = keyof typeof functionSettings

export const functionNames = Object.keys(functionSettings) as readonly FunctionName[]
