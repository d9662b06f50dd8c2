import { StoreError } from '../errors.ts'
import type { RoundAnswer, RoundDatabase } from '../sql/append.ts'
import type { RoundFacts } from '../sql/facts.ts'
import type { Round } from '../sql/round.ts'
import type { ViewGeneration } from '../store/store.ts'
import type { Connection, Row, Value } from './connection.ts'
import { understand } from './errors.ts'
import { UnreadableAnswer } from './session.ts'
import type { Statements } from './statements.ts'

/** Where a batch goes: to one procedure of the database, a round in one call. */
export function roundDatabase(
  connection: Connection,
  statements: Statements,
  { format, limits }: Pick<RoundDatabase, 'format' | 'limits'>,
): RoundDatabase {
  const packet = packetLimit(connection, statements)
  return {
    format,
    limits,
    understand,
    async storeRound(round) {
      const values = parameters(round)
      await packet(values)
      const { rows } = await connection.on(({ run }) => run(statements.append, ...values))
      return toAnswer(round, rows)
    },
  }
}

/** The lists as JSON, in the order of the procedure's parameters. */
function parameters(round: Round): Value[] {
  const { roots, events, snapshots, keys, generations, views, indexes, checkpoints } = round
  const placed = checkpoints.map(({ e, ...rest }) => ({ ...rest, x: e.length, e: e[0] ?? null }))
  return [
    list(roots),
    list(events),
    events.length,
    list(snapshots),
    list(keys),
    list(generations),
    list(views),
    list(indexes),
    list(placed),
  ]
}

/** What is `null` is left out: whether `JSON_TABLE` makes a NULL of it is up to the server. */
const list = (rows: readonly unknown[]): string | null =>
  rows.length === 0 ? null : JSON.stringify(rows, (_, value: unknown) => value ?? undefined)

function toAnswer(round: Round, rows: readonly Row[]): RoundAnswer {
  const [first, ...others] = rows
  if (first?.kind === 'stored') {
    const last = wholeNumber(first.number)
    return { positions: round.events.map((_, at) => String(last + at + 1)) }
  }
  if (first?.kind !== 'found') throw new UnreadableAnswer()
  return { facts: toFacts(round, others) }
}

/** @throws UnreadableAnswer */
function wholeNumber(value: unknown): number {
  const number = Number(value ?? Number.NaN)
  if (!Number.isSafeInteger(number)) throw new UnreadableAnswer()
  return number
}

function toFacts(round: Round, rows: readonly Row[]): RoundFacts {
  const found = new Map<string, Row[]>()
  for (const row of rows) {
    const place = `${row.kind} ${wholeNumber(row.nth)}`
    const others = found.get(place)
    if (others) others.push(row)
    else found.set(place, [row])
  }
  const all = (kind: string, at: number): readonly Row[] => found.get(`${kind} ${at + 1}`) ?? []
  const number = (kind: string, at: number): number | null => {
    const row = all(kind, at)[0]
    return row === undefined || row.number === null ? null : wholeNumber(row.number)
  }
  return {
    heads: round.roots.map((_, at) => ({
      sequence: number('head', at) ?? 0,
      commitId: (all('head', at)[0]?.text as string | null | undefined) ?? null,
    })),
    positions: round.events.map((_, at) => {
      const position = number('position', at)
      return position === null ? null : String(position)
    }),
    keys: round.keys.map((_, at) => all('key', at).length > 0),
    views: round.views.map((_, at) => number('view', at) ?? 0),
    generations: round.generations.map((_, at) =>
      all('generation', at).map((row) => ({
        generation: wholeNumber(row.number),
        state: row.text as ViewGeneration['state'],
        viewVersion: row.other as string,
      })),
    ),
    checkpoints: round.checkpoints.map((_, at) => {
      const stands = all('checkpoint', at)[0]
      return {
        fence: number('fence', at),
        position: (stands?.text as string | undefined) ?? null,
        commitId: (stands?.other as string | undefined) ?? null,
      }
    }),
  }
}

/** Below this every server takes a packet. */
const surelyTaken = 900_000

const encoder = new TextEncoder()

/**
 * Refuses what the server would: it answers a packet that is too large by closing the connection, and then nobody knows what became of the commit. The limit is asked for
 * when the first large round comes.
 */
function packetLimit(connection: Connection, statements: Statements): (values: readonly Value[]) => Promise<void> {
  let known: number | undefined
  return async (values) => {
    const texts = values.filter((value) => typeof value === 'string')
    if (texts.reduce((sum, { length }) => sum + length * 3, 0) <= surelyTaken) return
    known ??= Number((await connection.run(statements.readPacketLimit)).rows[0]?.bytes)
    const bytes = texts.reduce((sum, text) => sum + encoder.encode(text).length, 1_000)
    if (bytes <= known) return
    throw new StoreError(
      'STORE_LIMIT',
      `The append needs a packet of ${bytes} bytes; the MySQL server takes ${known} (max_allowed_packet): raise that, or store less at once.`,
    )
  }
}
