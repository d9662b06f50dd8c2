import { StoreError } from '../errors.ts'
import type { RoundAnswer, RoundDatabase } from '../sql/append.ts'
import type { RoundFacts } from '../sql/facts.ts'
import type { Round } from '../sql/round.ts'
import type { ViewGeneration } from '../store/store.ts'
import type { Connection, Row, Value } from './connection.ts'
import { understand } from './errors.ts'
import { UnreadableAnswer } from './session.ts'
import type { Statements } from './statements.ts'

/** Sends a round to one procedure of the database, in one call. */
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

/** Omits `null`: servers differ in whether `JSON_TABLE` turns it into NULL. */
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

/** @throws UnreadableAnswer unless it is a safe integer */
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

/** Bytes that every server accepts in a packet. */
const surelyTaken = 900_000

const encoder = new TextEncoder()

/**
 * Returns a function that refuses packets above the server's limit.
 *
 * The server would close the connection, and the outcome of the commit would be unknown. The limit
 * is read before the first large round.
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
      `The append needs a packet of ${bytes} bytes; the MySQL server takes ${known} (max_allowed_packet). Nothing was stored. Raise max_allowed_packet, or store less at once.`,
    )
  }
}
