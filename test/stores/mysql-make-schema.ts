import { mysqlStore } from 'cqrs-es/mysql'
import { createPool } from 'mysql2/promise'

/** A process that makes the schema at the address it gets, and says when. */
const pool = createPool(process.argv[2] ?? '')
console.log('begins')
await mysqlStore(pool, { foreignWriters: true }).createSchema()
console.log('made')
await pool.end()
