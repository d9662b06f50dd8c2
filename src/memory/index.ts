/** @module cqrs-es/memory */
export { type MemoryStoreOptions, memoryStore } from './store.ts'
