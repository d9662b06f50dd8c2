import { openStore } from './store.ts'

/** Creates the tables. A deployment runs it before the first request, and after an update of cqrs-es. */
const { store, close } = openStore()
try {
  await store.createSchema()
  console.log('The tables exist.')
} finally {
  await close()
}
