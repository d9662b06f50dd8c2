/** What the stack tells AWS, and what the local run does in its place. */

import type { DynamoDbTables } from 'cqrs-es/dynamodb'

/** What a table is for. */
export type TableRole = keyof DynamoDbTables

/** The variables in which a function finds the names of the tables. */
export const tableVariables: Readonly<Record<TableRole, string>> = {
  events: 'EVENTS_TABLE',
  snapshots: 'SNAPSHOTS_TABLE',
  views: 'VIEWS_TABLE',
  meta: 'META_TABLE',
}

/** How Lambda hands the stream of the events table to the function `stream`. */
export const streamSettings = {
  /** Records per call at the most. They are ordered per aggregate, and a call works on each aggregate once, however many records it has. */
  batchSize: 100,
  /** Of a batch that made no headway. What is given up goes to the dead-letter queue, and the next `drain` finds its aggregates. */
  retryAttempts: 8,
  /** Older records are given up too: well before DynamoDB forgets them, after 24 hours. */
  maxRecordAgeSeconds: 12 * 60 * 60,
} as const

/** How Lambda hands messages to the function `queue`. */
export const queueSettings = {
  /** One: behind a message that fails, the others of its group are not even handed over. In a larger batch they would be, and be given up together with it without having been run. */
  batchSize: 1,
  /** Deliveries of a message before it goes to the dead-letter queue. */
  maxReceiveCount: 5,
} as const

/**
 * Memory in MB, which is also the share of a processor: 1,769 are a whole one. Timeouts in seconds are far above what a call takes; they end one that
 * hangs.
 */
export const functionSettings = {
  /** People wait for it: cold starts and JSON are work for a processor. API Gateway gives up after 30 s, and the store before that, after 5 s of throttling. */
  command: { memory: 1024, timeout: 15 },
  /** A batch of 100 aggregates with views and transfers, one after another. */
  stream: { memory: 512, timeout: 60 },
  /** A command. A message stays invisible for six times as long, as AWS advises. */
  queue: { memory: 512, timeout: 30 },
  /** Looks at every aggregate, and goes on the next day where time was up: the most that Lambda gives. */
  drain: { memory: 512, timeout: 900 },
} as const

export type FunctionName = keyof typeof functionSettings

export const functionNames = Object.keys(functionSettings) as readonly FunctionName[]
