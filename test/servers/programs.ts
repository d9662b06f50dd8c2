import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runProgram } from './child.ts'

/** Test files run at the same time, but apt-get must run alone. */
export const aptLock = join(tmpdir(), 'cqrs-es-apt.lock')

const isRoot = process.getuid?.() === 0

/** Whether a program is installed. Installs it on Debian and Ubuntu, if this process is root. */
export async function haveProgram(program: string, debianPackage: string): Promise<boolean> {
  // While another process installs it, part of it may exist already.
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
