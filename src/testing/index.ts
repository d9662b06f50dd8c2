export type {
  Answer,
  DeliveredTo,
  DeliveryOptions,
  ExpectedCommand,
  ExpectedCommands,
  SentCommand,
} from './delivered.ts'
export { type Given, type GivenOptions, given, type When, type WhenResult } from './given.ts'
export { type GivenLog, givenLog, type LogOptions } from './log.ts'
