import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { runProgram } from './child.ts'

/** Programs that the tests fetch once, outside of the repository. */
export const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'cqrs-es-tests')

/** Creates a folder of the cache, once. `fill` gets an empty folder, and the path that it will have. */
export async function cached(name: string, fill: (folder: string) => Promise<void>): Promise<string> {
  const path = join(cache, name)
  if (existsSync(path)) return path
  await mkdir(cache, { recursive: true })
  const folder = await mkdtemp(join(cache, 'fetching-'))
  try {
    await fill(folder)
    // Atomic: another run may have been first.
    await rename(folder, path).catch((error: unknown) => {
      if (!existsSync(path)) throw error
    })
    return path
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Fetches an artifact of Maven with its dependencies. Returns the folder with all of them. */
export const fromMaven = (name: string, groupId: string, artifactId: string, version: string): Promise<string> =>
  cached(`${name}-${version}`, async (folder) => {
    const project = await mkdtemp(join(cache, 'project-'))
    try {
      await writeFile(join(project, 'pom.xml'), pomOf(name, `${groupId}:${artifactId}:${version}`))
      const args = ['-q', '-B', 'dependency:copy-dependencies', `-DoutputDirectory=${folder}`]
      await runProgram('mvn', args, { cwd: project })
    } finally {
      await rm(project, { recursive: true, force: true })
    }
  })

function pomOf(name: string, artifact: string): string {
  const [groupId, artifactId, version] = artifact.split(':')
  return `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>cqrs-es</groupId>
  <artifactId>${name}</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>${groupId}</groupId>
      <artifactId>${artifactId}</artifactId>
      <version>${version}</version>
    </dependency>
  </dependencies>
</project>
`
}
