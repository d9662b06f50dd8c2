import { short } from '../report.ts'
import { altOf } from './chart.ts'
import type { GoalRow } from './goals.ts'
import type { Measured, StoredEntry } from './measured.ts'

const [begin, end] = ['<!-- goals: written by npm run bench -- goals -->', '<!-- /goals -->']

/** @throws Error when the page has no marks */
export function replaceSection(page: string, section: string): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`The page has no section between ${begin} and ${end}.`)
  return `${page.slice(0, from + begin.length)}\n\n${section}\n\n${page.slice(to)}`
}

export function pageSection(measured: Measured, rows: readonly GoalRow[]): string {
  const { node, cores, rounds, servers, networks, minutes } = measured.settings
  const { subscription, pages, rebuild } = measured.log
  const rate = (value: number) => `${short(value).toLocaleString('en-US')} events/s`
  const added = Object.entries(networks).map(([name, { direct, through }]) => `${name}: ${(through - direct).toFixed(2)} ms`)
  return [
    wrapped(`![${altOf(measured.results)}](benchmarks.svg)`),
    wrapped(
      `Measured in ${Math.ceil(minutes)} minutes on ${cores} cores with Node ${node.slice(1)}, ${servers.map(withoutBuild).join(', ')}; medians of ${rounds} rounds, smallest and largest in brackets. ` +
        (added.length === 0 ? '' : `The networks added to a \`SELECT 1\`: ${added.join(', ')}.`),
    ),
    table(
      ['Figure', 'Goal', 'Measured', 'Met', 'Command'],
      rows.map(({ what, goal, text, isMet, command }) => [what, goal, text, met(isMet), `\`${command}\``]),
    ),
    wrapped(
      `Reading the log on Postgres: ${rate(pages)} in pages, ${rate(rebuild)} in a rebuild, ${rate(subscription)} through a subscription.`,
    ),
    'All systems of that run, 64 callers unless the row says otherwise. CPU is processor time of one command in µs.',
    table(
      ['System', 'Network', 'Event', 'Commands/s', 'p99, ms', 'Client CPU', 'Server CPU', 'Proxy CPU'],
      measured.results.map(cells),
    ),
  ].join('\n\n')
}

/** The version without its package. */
const withoutBuild = (server: string): string => server.replace(/-.*/, '')

/** Lines of up to 120 characters, as in all pages. */
const wrapped = (text: string): string =>
  text
    .trim()
    .replaceAll(/(.{1,119})(?: |$)/g, '$1\n')
    .trimEnd()

const met = (isMet: boolean | undefined): string => (isMet === undefined ? '' : isMet ? 'yes' : 'no')

function cells(result: StoredEntry): readonly string[] {
  const { system, store, roundTripMs, event } = result
  const name = store === 'postgres' ? system : `${system}, ${store}`
  const surroundings = [roundTripMs === 0 ? '' : `${roundTripMs} ms`, event === 'small' ? '' : event]
  if ('missing' in result) return [name, ...surroundings, `missing: ${result.missing}`, '', '', '', '']
  const { callers, commandsPerSecond, p99Ms, cpuMicroseconds: cpu, faults } = result
  const whole = (value: number | undefined) => (value === undefined ? '' : String(Math.round(value)))
  return [
    callers === 64 ? name : `${name}, ${callers} caller`,
    ...surroundings,
    faults.length === 0 ? short(commandsPerSecond).toLocaleString('en-US') : `wrong: ${faults[0]}`,
    String(short(p99Ms)),
    whole(cpu?.client),
    whole(cpu?.server),
    roundTripMs === 0 ? '' : whole(cpu?.proxy),
  ]
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (texts: readonly string[]) => `| ${texts.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}
