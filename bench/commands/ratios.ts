import { figure, short, shown } from '../report.ts'
import type { Entry, Missing } from './compare.ts'

/** Speed of this package divided by that of another system in the same surroundings. */
export interface Ratio {
  /** `postgres/64/emmett`, with `/5 ms` and `/large` after it. */
  readonly key: string
  /** Of commands per second, and of p99. */
  readonly speed: number
  readonly p99: number
  /** Speeds round by round: neighbors in time share the slow moments. */
  readonly each: readonly number[]
}

export const keyOf = ({ store, callers, system, roundTripMs, event }: Omit<Entry, 'samples'>): string =>
  [store, callers, system, ...(roundTripMs > 0 ? [`${roundTripMs} ms`] : []), ...(event === 'large' ? ['large'] : [])].join('/')

/** Compares the system `cqrs-es` with all others. */
export function ratiosOf(entries: readonly Entry[]): readonly Ratio[] {
  const ours = new Map(entries.map((one) => [keyOf(one), one]))
  return entries.flatMap((other) => {
    const mine = ours.get(keyOf({ ...other, system: 'cqrs-es' }))
    if (mine === undefined || other.system.split(',')[0] === 'cqrs-es') return []
    const each = mine.samples.map((run, round) => run.commandsPerSecond / (other.samples[round]?.commandsPerSecond ?? Number.NaN))
    return [{ key: keyOf(other), speed: mine.commandsPerSecond / other.commandsPerSecond, p99: mine.p99Ms / other.p99Ms, each }]
  })
}

/** Prints all results and ratios. */
export function print(results: readonly (Entry | Missing)[], ratios: readonly Ratio[]): void {
  console.table(
    results.map((result) => ({
      store: result.store,
      system: result.system,
      network: result.roundTripMs === 0 ? '' : `${result.roundTripMs} ms`,
      event: result.event === 'small' ? '' : result.event,
      ...('missing' in result ? { afterwards: `MISSING: ${result.missing}` } : columns(result)),
    })),
  )
  if (ratios.length === 0) return
  console.log('This package against the others, in commands per second (more is better) and in p99 (less is better):')
  console.table(
    ratios.map(({ key, speed, p99, each }) => ({
      against: key,
      'commands/s': `${shown({ ...figure(each), median: speed })} x`,
      p99: `${short(p99)} x`,
    })),
  )
}

function columns({ callers, spread, callsPerCommand, cpuMicroseconds: cpu, faults }: Entry) {
  const whole = (value: number | undefined) => (value === undefined ? '' : Math.round(value))
  return {
    callers,
    'commands/s': shown(spread.commandsPerSecond),
    'p50 ms': shown(spread.p50Ms),
    'p99 ms': shown(spread.p99Ms),
    'calls/command': callsPerCommand === undefined ? '' : short(callsPerCommand),
    'CPU µs, client': whole(cpu?.client),
    'CPU µs, server': whole(cpu?.server),
    'CPU µs, proxy': whole(cpu?.proxy),
    afterwards: faults.length === 0 ? 'correct' : faults.join(' '),
  }
}

/** Results without the samples, for the file. */
export const stored = (results: readonly (Entry | Missing)[]): readonly object[] =>
  results.map((result) => {
    if ('missing' in result) return result
    const { samples: _, ...rest } = result
    return rest
  })

/** Fields for the file. */
export const storedRatios = (ratios: readonly Ratio[]) => ({
  ratios: Object.fromEntries(ratios.map(({ key, speed }) => [key, speed])),
  ratiosOfP99: Object.fromEntries(ratios.map(({ key, p99 }) => [key, p99])),
  spreadOfRatios: Object.fromEntries(ratios.map(({ key, each }) => [key, figure(each)])),
})
