import { connections } from './connections.ts'
import { dynamodb } from './dynamodb.ts'
import { evolution } from './evolution.ts'
import { execution } from './execution.ts'
import { memory } from './memory.ts'
import { messaging } from './messaging.ts'
import type { Mutation } from './mutation.ts'
import { mysql } from './mysql.ts'
import { postgres } from './postgres.ts'
import { processes } from './processes.ts'
import { rules } from './rules.ts'
import { sql } from './sql.ts'
import { sqlite } from './sqlite.ts'
import { subscriptions } from './subscriptions.ts'
import { views } from './views.ts'

/** Mutations by the part of the source that they break. */
export const areas: Readonly<Record<string, readonly Mutation[]>> = {
  execution,
  evolution,
  views,
  subscriptions,
  processes,
  rules,
  sql,
  memory,
  sqlite,
  postgres,
  mysql,
  dynamodb,
  connections,
  messaging,
}
