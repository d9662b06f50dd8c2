import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runProgram } from './child.ts'

/** Test files run side by side, and apt-get runs once at a time. */
export const aptLock = join(tmpdir(), 'cqrs-es-apt.lock')

const isRoot = process.getuid?.() === 0

/** Whether a program is there; on Debian and Ubuntu it is installed, where that needs nobody's consent. */
export async function haveProgram(program: string, debianPackage: string): Promise<boolean> {
  // While another process installs it, some of it is there already.
  if (isRoot) await answers('flock', [aptLock, 'true'])
  if (await answers(program, ['--version'])) return true
  if (!isRoot || !(await answers('apt-get', ['--version']))) return false
  console.log(`Installing ${debianPackage} with apt-get, for the tests.`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const install = 'apt-get update && apt-get install -y --no-install-recommends "$0"'
  await runProgram('flock', [aptLock, 'sh', '-c', install, debianPackage], { env })
  return answers(program, ['--version'])
}

export const haveDocker = (): Promise<boolean> => answers('docker', ['info'])

const answers = (program: string, args: readonly string[]): Promise<boolean> =>
  runProgram(program, args).then(
    () => true,
    () => false,
  )
