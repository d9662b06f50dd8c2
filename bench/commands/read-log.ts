import { join } from 'node:path'
import { root, run } from '../../test/run.ts'
import type { ReadLine } from './read.ts'

/** Runs `read.ts` of a tree in a process of its own. @throws Error with its output */
export async function readLog(url: string, events: number, tree = root): Promise<ReadLine> {
  const args = ['--expose-gc', '--import', 'tsx', join(tree, 'bench/commands/read.ts'), '--url', url, '--events', String(events)]
  const env = { TSX_TSCONFIG_PATH: join(tree, 'bench/tsconfig.json') }
  const { code, output } = await run(process.execPath, args, { env, timeout: 1_800_000 })
  const line = output.split('\n').find((text) => text.startsWith('{'))
  if (code !== 0 || line === undefined) throw new Error(`The log could not be read: ${output}`)
  return JSON.parse(line)
}
