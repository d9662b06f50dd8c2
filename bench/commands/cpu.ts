import { readdirSync, readFileSync } from 'node:fs'

/** Seconds of CPU time so far. */
export interface Cpu {
  readonly client: number
  readonly server: number
  /** The proxy that delays requests; 0 without one. */
  readonly proxy: number
}

export const spent = (before: Cpu, after: Cpu): Cpu => ({
  client: after.client - before.client,
  server: after.server - before.server,
  proxy: after.proxy - before.proxy,
})

const serverPrograms = /^(postgres|mariadbd|dynoxide)$/
const proxyProgram = 'proxy'
const ticksPerSecond = 100

interface Process {
  readonly parent: number
  readonly program: string
  readonly own: number
  /** CPU time of its ended children. */
  readonly gone: number
}

/**
 * CPU time of a started program, of the database servers and the proxy below this process. Only
 * Linux reports it.
 */
export function cpuOf(client: number | undefined): Cpu | undefined {
  if (process.platform !== 'linux' || client === undefined) return undefined
  const all = processes()
  const blocks = (pid: number, ancestor: number): boolean => {
    for (let at = pid; at > 1; at = all.get(at)?.parent ?? 0) if (at === ancestor) return true
    return false
  }
  let [ofClient, ofServer, ofProxy] = [0, 0, 0]
  for (const [pid, { program, own, gone }] of all) {
    if (serverPrograms.test(program) && blocks(pid, process.pid)) ofServer += own + gone
    else if (program === proxyProgram && blocks(pid, process.pid)) ofProxy += own
    else if (blocks(pid, client)) ofClient += own
  }
  return { client: ofClient / ticksPerSecond, server: ofServer / ticksPerSecond, proxy: ofProxy / ticksPerSecond }
}

function processes(): Map<number, Process> {
  const all = new Map<number, Process>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      const program = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      const ticks = (...at: number[]) => at.reduce((sum, index) => sum + Number(fields[index]), 0)
      all.set(Number(name), { parent: Number(fields[1]), program, own: ticks(11, 12), gone: ticks(13, 14) })
    } catch {
      // The process has ended meanwhile.
    }
  }
  return all
}
