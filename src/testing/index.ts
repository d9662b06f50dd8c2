/** @module cqrs-es/testing */
export type { DeliveredTo, ExpectedCommand, ExpectedCommands } from './delivered.ts'
export type { Answer, DeliveryOptions, SentCommand } from './fake-app.ts'
export { type Given, type GivenOptions, given, type ViewOf, type When, type WhenResult } from './given.ts'
export { type GivenProcess, givenProcess } from './given-process.ts'
export { type GivenLog, givenLog, type LogOptions } from './log.ts'
export { type TestClock, testClock } from './test-clock.ts'
