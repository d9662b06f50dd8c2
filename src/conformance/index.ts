/** @module cqrs-es/conformance */
export type { ConformanceHost, TestDatabase } from './host.ts'
export { type ConformanceCase, conformanceCases } from './suite.ts'
