import { styleText } from 'node:util'

type Style = Parameters<typeof styleText>[0]

const colors = process.stdout.isTTY && !process.env.NO_COLOR && process.env.TERM !== 'dumb'

/** Colors the text on a terminal; plain elsewhere. */
export const paint = (style: Style, text: string): string => (colors ? styleText(style, text) : text)

export const say = (line = ''): void => console.log(line)

export function heading(text: string, source: string): void {
  say(`\n${paint('bold', text)}  ${paint('dim', source)}`)
}

/** Shows `{ amount: 1000, balance: 800 }` as `amount 1,000, balance 800`. */
export const fields = (data: object): string =>
  Object.entries(data)
    .map(([name, value]) => `${name} ${typeof value === 'number' ? money(value) : value}`)
    .join(', ')

export const money = (amount: number): string => amount.toLocaleString('en-US')

/** Shows `2000-01-01T10:00:00.123Z` as `2000-01-01 10:00:00.123`. */
export const clock = (iso: string): string => iso.slice(0, -1).replace('T', ' ')

/** Prints rows in columns below a header. The columns in `right` are aligned to the right. */
export function table(header: readonly string[], rows: readonly (readonly string[])[], right: readonly string[] = []): void {
  const widths = header.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i]?.length ?? 0)))
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (right.includes(header[i] ?? '') ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join('   ')
      .trimEnd()
  say(`  ${paint('dim', line(header))}`)
  for (const row of rows) say(`  ${line(row)}`)
}
