/**
 * How much the heavy tests do, by `TEST_STRENGTH`: `moderate` proves each promise in minutes, `full` meets rare interleavings and runs every night.
 */
const strengths = ['moderate', 'full'] as const

export type Strength = (typeof strengths)[number]

export const strength: Strength = parse(process.env.TEST_STRENGTH)

export const isFull = strength === 'full'

/** The number of rounds, kills or commands of a heavy test. */
export const atStrength = <T = number>(amounts: Readonly<Record<Strength, T>>): T => amounts[strength]

/**
 * Of what is crossed with something else, such as settings with servers: at full strength all cases, else every second one. Two neighbours
 * whose `nth` differs by one have all cases between them.
 */
export const everySecond = <T>(cases: readonly T[], nth: number): readonly T[] =>
  isFull ? cases : cases.filter((_, i) => (i + nth) % 2 === 0)

/**
 * Time limit of whatever waits for something that must happen. It ends what hangs and nothing else: a test takes a tenth of it on a quiet
 * machine, so that it holds on one that is slow and busy. `TEST_PATIENCE_MS` is for `npm run mutate`, where many tests fail.
 */
export const patienceMs = Number(process.env.TEST_PATIENCE_MS || (isFull ? 1_800_000 : 600_000))

function parse(text: string | undefined): Strength {
  const found = strengths.find((one) => one === (text || 'moderate'))
  if (found === undefined) throw new Error(`TEST_STRENGTH: there is no strength '${text}'; there are ${strengths.join(', ')}.`)
  return found
}
