import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus } from 'node:os'
import { root } from '../test/run.ts'

/** Summary of several rounds: the median to quote, and the range. */
export interface Figure {
  readonly median: number
  readonly min: number
  readonly max: number
}

export function figure(values: readonly number[]): Figure {
  const sorted = [...values].sort((a, b) => a - b)
  return { median: percentile(sorted, 50), min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN }
}

/** Percentile of values in ascending order. */
export function percentile(sorted: ArrayLike<number>, percent: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? Number.NaN
}

/** Three significant digits: more would be noise. */
export const short = (value: number): number => Number(value.toPrecision(3))

/** `median (min-max)`, for the tables. */
export const shown = ({ median, min, max }: Figure): string => `${digits(median)} (${digits(min)}-${digits(max)})`

const digits = (value: number) => short(value).toLocaleString('en-US', { maximumSignificantDigits: 3 })

/** Writes `bench/results/<question>.json`, with the fields of `more` next to the results. */
export async function writeResults(
  question: string,
  settings: object,
  results: readonly object[],
  more: object = {},
): Promise<void> {
  const { version } = JSON.parse(await readFile(`${root}package.json`, 'utf8')) as { version: string }
  const machine = { node: process.version, platform: process.platform, cpu: cpus()[0]?.model, cores: availableParallelism() }
  await mkdir(`${root}bench/results`, { recursive: true })
  const text = JSON.stringify({ question, settings: { version, ...machine, ...settings }, results, ...more }, null, 2)
  await writeFile(`${root}bench/results/${question}.json`, `${text}\n`)
}
