import { keyOf } from '../commands/ratios.ts'
import { type Figure, short } from '../report.ts'
import type { Measured, StoredEntry } from './measured.ts'

export interface GoalRow {
  readonly what: string
  readonly goal: string
  /** The measured figure, or why there is none. */
  readonly text: string
  readonly isMet: boolean | undefined
  readonly command: string
}

type MeasuredEntry = Exclude<StoredEntry, { readonly missing: string }>

interface Surroundings {
  readonly store?: string
  readonly callers?: number
  readonly network?: number
}

type Value = number | Figure

const medianOf = (value: Value): number => (typeof value === 'number' ? value : value.median)

/** Figures of the measurement, or the reason for a missing one. */
class Figures {
  readonly #results: readonly StoredEntry[]
  readonly #spreads: Measured['spreadOfRatios']

  constructor({ results, spreadOfRatios }: Measured) {
    this.#results = results
    this.#spreads = spreadOfRatios
  }

  /** @throws Error when the system is missing, or was wrong */
  of(system: string, { store = 'postgres', callers = 64, network = 0 }: Surroundings = {}): MeasuredEntry {
    const same = this.#results.filter(
      (one) => one.system === system && one.store === store && one.roundTripMs === network && one.event === 'small',
    )
    const missing = same.find((one) => 'missing' in one)
    if (missing) throw new Error(missing.missing)
    const found = same.find((one): one is MeasuredEntry => 'callers' in one && one.callers === callers)
    if (found === undefined) throw new Error('not measured')
    if (found.faults.length > 0) throw new Error(`wrong: ${found.faults[0]}`)
    return found
  }

  /** The ratio of the medians, with the range of the rounds where it is stored. */
  speedAgainst(other: string, where: Surroundings, system = 'cqrs-es'): number | Figure {
    const theirs = this.of(other, where)
    const median = this.of(system, where).commandsPerSecond / theirs.commandsPerSecond
    const spread = system === 'cqrs-es' ? this.#spreads[keyOf(theirs)] : undefined
    return spread === undefined ? median : { ...spread, median }
  }
}

const goals = 'npm run bench -- goals'

/** Each figure that has a goal. */
export function goalRows(measured: Measured): readonly GoalRow[] {
  const figures = new Figures(measured)
  const { client, append, http, log, importMs, growth } = measured
  const clientCpu = (store: string) => client.results.find((one) => one.store === store)?.['CPU µs']
  const ofAppend = (store: string) => append.results.find((one) => one.store === store && one.event === 'small')
  const httpOn = (major: string) => http.find(({ settings }) => settings.node.startsWith(`v${major}.`))?.added
  // A test of the program with a shorter log says nothing.
  const grown = (what: string) =>
    growth === undefined || growth.settings.sizes.large < 10_000_000
      ? undefined
      : growth.results.find((one) => one.what === what)?.ratio
  const ratio = (where: Surroundings, other: string) => () => figures.speedAgainst(other, where)
  const network = (ms: number) => `, ${ms} ms round trip`

  return [
    most('Client CPU of a warm command, store that responds at once', 5, 'µs', () => clientCpu('instant'), 'client'),
    most(
      'Client CPU of a warm command, Postgres client that responds at once',
      9,
      'µs',
      () => clientCpu('fake Postgres client'),
      'client',
    ),
    most('Postgres CPU of an event, 256 in an append', 12, 'µs', () => ofAppend('postgres')?.serverMicroseconds, 'append'),
    most('MariaDB CPU of an event, 256 in an append', 24, 'µs', () => ofAppend('mysql')?.serverMicroseconds, 'append'),
    most('WAL of an event on Postgres', 420, 'bytes', () => ofAppend('postgres')?.logBytes, 'append'),
    most('Round trips of a warm command', 1, '', () => figures.of('cqrs-es', { callers: 1 }).callsPerCommand),
    most('Round trips of a cold command', 2, '', () => figures.of('cqrs-es, no cache', { callers: 1 }).callsPerCommand),
    least('Against the Rust crate', 8, ratio({}, 'cqrs-es (Rust)')),
    least('Against emmett', 15, ratio({}, 'emmett')),
    least(`Against the Rust crate${network(1)}`, 12, ratio({ network: 1 }, 'cqrs-es (Rust)')),
    least(`Against the Rust crate${network(5)}`, 20, ratio({ network: 5 }, 'cqrs-es (Rust)')),
    most(`p99${network(5)}`, 12, 'ms', () => figures.of('cqrs-es', { network: 5 }).spread.p99Ms),
    least('`cache: false` against the Rust crate', 2.5, () => figures.speedAgainst('cqrs-es (Rust)', {}, 'cqrs-es, no cache')),
    most(
      'Memory store, client CPU of a command',
      8,
      'µs',
      () => figures.of('cqrs-es', { store: 'memory' }).cpuMicroseconds?.client,
    ),
    least('MariaDB against one transaction per command', 5.5, ratio({ store: 'mysql' }, 'by hand: a transaction')),
    least('Rebuild of a view on Postgres', 120_000, () => log.rebuild, 'events/s'),
    ...['warm command', 'cold command', 'page of 1,000 events'].map((what) =>
      most(`10 million events against 10 thousand, ${what}`, 1.15, 'x', () => grown(what), 'growth'),
    ),
    most('HTTP handler over `execute`, Node 24', 15, 'µs', () => httpOn('24'), 'http'),
    most('HTTP handler over `execute`, Node 20', 45, 'µs', () => httpOn('20'), 'http'),
    most('Import of the core and the Postgres store', 12, 'ms', () => importMs),
    explained('DynamoDB emulator, cores that it keeps busy', () => {
      const { commandsPerSecond, cpuMicroseconds } = figures.of('cqrs-es', { store: 'dynamodb' })
      return cpuMicroseconds?.server && (commandsPerSecond * cpuMicroseconds.server) / 1e6
    }),
  ]
}

const most = (what: string, limit: number, unit: string, read: () => Value | undefined, question = 'goals') =>
  row(what, `≤ ${shown(limit, unit)}`, unit, read, (value) => value <= limit, question)

const least = (what: string, limit: number, read: () => Value | undefined, unit = 'x') =>
  row(what, `≥ ${shown(limit, unit)}`, unit, read, (value) => value >= limit, 'goals')

const explained = (what: string, read: () => Value | undefined) => row(what, 'explained', '', read, undefined, 'goals')

function row(
  what: string,
  goal: string,
  unit: string,
  read: () => Value | undefined,
  meets: ((value: number) => boolean) | undefined,
  question: string,
): GoalRow {
  const command = question === 'goals' ? goals : `npm run bench -- ${question}`
  const without = (why: string) => ({ what, goal, text: why, isMet: undefined, command })
  try {
    const value = read()
    if (value === undefined || Number.isNaN(medianOf(value))) return without('not measured')
    return { what, goal, text: shown(value, unit), isMet: meets?.(medianOf(value)), command }
  } catch (error) {
    return without((error as Error).message)
  }
}

function shown(value: Value, unit: string): string {
  const digits = (number: number) => short(number).toLocaleString('en-US')
  const range = typeof value === 'number' ? '' : ` (${digits(value.min)}–${digits(value.max)})`
  return `${digits(medianOf(value))}${unit === '' ? '' : ` ${unit}`}${range}`
}
