import { cp, mkdir, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { root, run } from '../test/run.ts'
import { makeFolder } from './stores.ts'

/**
 * Builds another commit, and calls `measure` with its folder. Without a name the commit is
 * `origin/main`, or the previous one if there is none.
 *
 * The folder has the dependencies and the measuring programs of this tree.
 */
export async function withBase(asked: string | undefined, measure: (folder: string, commit: string) => Promise<void>) {
  const commit = await baseCommit(asked)
  const folder = join(await makeFolder(), 'base')
  try {
    console.log(`Building ${await git('log', '-1', '--format=%h %s', commit)}, to compare this tree with it.`)
    await buildBase(commit, folder)
    await measure(folder, commit)
  } finally {
    await run('git', ['worktree', 'remove', '--force', folder])
    await rm(join(folder, '..'), { recursive: true, force: true })
  }
}

async function buildBase(commit: string, folder: string): Promise<void> {
  await git('worktree', 'add', '--detach', folder, commit)
  await symlink(`${root}node_modules`, join(folder, 'node_modules'), 'junction')
  await rm(join(folder, 'bench'), { recursive: true, force: true })
  await mkdir(join(folder, 'test'), { recursive: true })
  const filter = (path: string) => !/bench.(peers|results)/.test(path.slice(root.length - 1))
  await cp(`${root}bench`, join(folder, 'bench'), { recursive: true, filter })
  await cp(`${root}test/run.ts`, join(folder, 'test/run.ts'))
  const { code, output } = await run(process.execPath, ['--import', 'tsx', 'scripts/build.ts'], { cwd: folder })
  if (code !== 0) throw new Error(`${commit} could not be built.\n${output}`)
}

async function baseCommit(asked: string | undefined): Promise<string> {
  for (const ref of asked === undefined ? ['origin/main', 'HEAD~1'] : [asked]) {
    const { code, output } = await run('git', ['rev-parse', '--verify', '--quiet', `${ref}^{commit}`])
    if (code === 0) return output.trim()
  }
  throw new Error(`there is no commit ${asked ?? 'before this one'}.`)
}

async function git(...args: string[]): Promise<string> {
  const { code, output } = await run('git', args)
  if (code !== 0) throw new Error(output.trim())
  return output.trim()
}
