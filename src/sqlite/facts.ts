import type { Position } from '../event-envelope.ts'
import { digitsOf, text, whole } from '../sql/columns.ts'
import type { Append } from '../store/commit.ts'
import type { CommitFacts } from '../store/find-conflict.ts'
import { type Head, noEvents } from '../store/head.ts'
import type { Connection } from './connection.ts'
import { readGenerations } from './generations.ts'
import * as statements from './statements.ts'

/** The facts for one commit, read on demand in the open transaction. */
export function factsOf(connection: Connection): CommitFacts {
  const heads = new Map<Append, Head>()
  const head = (append: Append): Head => {
    const known = heads.get(append) ?? readHead(connection, append)
    heads.set(append, known)
    return known
  }
  return {
    head,
    positions({ id, appends }) {
      const [first] = appends
      // Usually the head, which is read anyway, is enough.
      if (first === undefined || head(first).sequence <= first.expectedSequence) return undefined
      const positions: Position[] = []
      for (const { aggregateType, aggregateId, expectedSequence, events } of appends) {
        const last = expectedSequence + events.length
        const rows = connection.all(statements.readCommitPositions, aggregateType, aggregateId, expectedSequence, last, id)
        if (rows.length < events.length) return undefined
        for (const row of rows) positions.push(digitsOf(row, 'position') as Position)
      }
      return positions
    },
    checkpoint(name) {
      const lease = connection.first(statements.readFence, name)
      const stands = connection.first(statements.readCheckpoint, name)
      return {
        fence: lease === undefined ? null : whole(lease, 'fence'),
        position: stands === undefined ? null : text(stands, 'position'),
        commitId: stands === undefined ? null : text(stands, 'commit_id'),
      }
    },
    hasKey: ({ aggregateType, aggregateId }, idempotencyKey) =>
      connection.first(statements.readKey, aggregateType, aggregateId, idempotencyKey) !== undefined,
    generations: (name) => readGenerations(connection, name),
    viewVersion({ name, generation, id }) {
      const row = connection.first(statements.readViewVersion, name, generation, id)
      return row === undefined ? 0 : whole(row, 'version')
    },
  }
}

function readHead(connection: Connection, { aggregateType, aggregateId }: Append): Head {
  const row = connection.first(statements.readHead, aggregateType, aggregateId)
  return row === undefined ? noEvents : { sequence: whole(row, 'sequence'), commitId: text(row, 'commit_id') }
}
