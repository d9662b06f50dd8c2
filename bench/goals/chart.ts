import { short } from '../report.ts'
import type { StoredEntry } from './measured.ts'

const systems = ['cqrs-es', 'cqrs-es (Rust)', 'emmett', 'message-db']
const [width, left, right, rowHeight, gap] = [720, 130, 80, 22, 34]

interface Group {
  readonly title: string
  readonly bars: readonly { readonly system: string; readonly speed: number | undefined }[]
}

function groupsOf(results: readonly StoredEntry[]): readonly Group[] {
  return [0, 1, 5].map((network) => ({
    title: network === 0 ? 'Server on the same machine' : `Network with a round trip of ${network} ms`,
    bars: systems.map((system) => {
      const found = results.find(
        (one) =>
          one.store === 'postgres' &&
          one.system === system &&
          one.roundTripMs === network &&
          one.event === 'small' &&
          (!('callers' in one) || one.callers === 64),
      )
      return { system, speed: found && 'commandsPerSecond' in found ? found.commandsPerSecond : undefined }
    }),
  }))
}

const shown = (speed: number | undefined) => (speed === undefined ? 'missing' : short(speed).toLocaleString('en-US'))

/** Says everything that the chart shows. */
export const altOf = (results: readonly StoredEntry[]): string =>
  `Bar chart of commands per second on Postgres at 64 callers. ${groupsOf(results)
    .map(({ title, bars }) => `${title}: ${bars.map(({ system, speed }) => `${system} ${shown(speed)}`).join(', ')}.`)
    .join(' ')}`

/**
 * An SVG of the bars. It brings a background of its own for light and dark, because a page may
 * switch its colors without the browser.
 */
export function chartOf(results: readonly StoredEntry[]): string {
  const groups = groupsOf(results)
  const most = Math.max(1, ...groups.flatMap(({ bars }) => bars.map(({ speed }) => speed ?? 0)))
  const scale = (width - left - right) / most
  const parts: string[] = []
  let y = 44
  for (const { title, bars } of groups) {
    parts.push(`<text class="title" x="16" y="${y + 4}">${escaped(title)}</text>`)
    y += 14
    for (const { system, speed } of bars) {
      const length = Math.max(1, Math.round((speed ?? 0) * scale))
      const kind = system === 'cqrs-es' ? 'ours' : 'other'
      parts.push(
        `<text x="${left - 8}" y="${y + 14}" text-anchor="end">${escaped(system)}</text>`,
        `<rect class="${kind}" x="${left}" y="${y + 3}" width="${length}" height="${rowHeight - 6}" rx="2"/>`,
        `<text x="${left + length + 6}" y="${y + 14}">${shown(speed)}</text>`,
      )
      y += rowHeight
    }
    y += gap - 14
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y - 8}" width="${width}" height="${y - 8}" role="img">
<title>Commands per second on Postgres at 64 callers</title>
<desc>${escaped(altOf(results))}</desc>
<style>
  text { font: 12px system-ui, sans-serif; fill: #3c3c43 }
  .title { font-weight: 600 }
  .page { fill: #ffffff }
  .ours { fill: #3451b2 }
  .other { fill: #9aa1b5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #dfdfd6 }
    .page { fill: #1b1b1f }
    .ours { fill: #a8b1ff }
    .other { fill: #6a6f85 }
  }
</style>
<rect class="page" width="100%" height="100%" rx="8"/>
<text class="title" x="16" y="24">Commands per second on Postgres, 64 callers</text>
${parts.join('\n')}
</svg>
`
}

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
