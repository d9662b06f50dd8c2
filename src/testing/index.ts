export { type Given, type GivenOptions, given, type When, type WhenResult } from './given.ts'
