import { copyFile, cp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compilers, node, root, run } from '../run.ts'
import { isFull } from '../strength.ts'
import { membersOf, valuesOf } from './members.ts'
import { install, type Packed, packedPackage, specifiersOf } from './pack.ts'

const newest = 'TypeScript 7' satisfies keyof typeof compilers

let packed: Packed
let project: string
let specifiers: readonly string[]

beforeAll(async () => {
  packed = await packedPackage()
  project = await install(packed)
  specifiers = specifiersOf(packed.manifest)
})
afterAll(() => rm(packed.folder, { recursive: true, force: true }))

describe('the tarball', () => {
  test('the tarball has only expected files', () => {
    const expected = /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|dist\/.+\.(js|d\.ts)(\.map)?|src\/.+(?<!\.(test|d))\.ts)$/
    expect(packed.files.filter((file) => !expected.test(file))).toEqual([])
  })

  test('the tarball has README, licence, changelog, every subpath and every source', async () => {
    expect(packed.files).toEqual(expect.arrayContaining(['README.md', 'LICENSE', 'CHANGELOG.md']))
    const subpaths = Object.values(packed.manifest.exports).flatMap((target) =>
      typeof target === 'object' && target !== null ? (Object.values(target) as string[]) : [],
    )
    expect(subpaths.filter((file) => !packed.files.includes(file.slice(2)))).toEqual([])
    const maps = packed.files.filter((file) => file.endsWith('.map'))
    expect(maps.length).toBeGreaterThan(subpaths.length)
    const sources = await Promise.all(
      maps.map(async (map) => {
        const { sources } = JSON.parse(await readFile(join(packed.content, map), 'utf8')) as { sources: readonly string[] }
        return sources.map((source) => join(map, '..', source))
      }),
    )
    expect(sources.flat().filter((source) => !packed.files.includes(source))).toEqual([])
  })

  test('the package has no dependency and no install script', () => {
    const { dependencies = {}, optionalDependencies = {}, peerDependencies = {}, bundleDependencies } = packed.manifest
    expect({ ...dependencies, ...optionalDependencies, ...peerDependencies, ...bundleDependencies }).toEqual({})
    const hooks = ['preinstall', 'install', 'postinstall', 'prepublish', 'prepare']
    expect(hooks.filter((hook) => packed.manifest.scripts?.[hook] !== undefined)).toEqual([])
  })

  test('publint finds nothing in the package', async () => {
    const { messages } = await publint({ pkgDir: packed.content, pack: false, level: 'suggestion', strict: true })
    expect(messages.map((message) => formatMessage(message, packed.manifest, { color: false }))).toEqual([])
  })

  test('the package has types for every import of an ES module', async () => {
    const attw = join(root, 'node_modules/@arethetypeswrong/cli/dist/index.js')
    const { code, output } = await node(attw, packed.tarball, '--profile', 'esm-only', '--format', 'json')
    expect(code, output).toBe(0)
  })
})

describe('a program that installed it', () => {
  test('a program imports every subpath and requires the same modules', async () => {
    await writeFile(
      join(project, 'both.js'),
      `import { createRequire } from 'node:module'
      const require = createRequire(import.meta.url)
      for (const specifier of ${JSON.stringify(specifiers)}) {
        const imported = await import(specifier)
        if (imported !== require(specifier)) console.log(specifier, 'is two modules')
      }`,
    )
    await writeFile(
      join(project, 'first.cjs'),
      `const modules = ${JSON.stringify(specifiers)}.map((specifier) => [specifier, require(specifier)])
      ;(async () => {
        for (const [specifier, required] of modules) {
          if (required !== await import(specifier)) console.log(specifier, 'is two modules')
        }
      })()`,
    )
    for (const program of ['both.js', 'first.cjs']) {
      const { code, output } = await run(process.execPath, ['--disable-warning=ExperimentalWarning', program], { cwd: project })
      expect({ code, output }).toEqual({ code: 0, output: '' })
    }
  })

  const settings = {
    'in Node, without the DOM': { module: 'nodenext', lib: ['ES2022'], types: ['node'] },
    'in the browser or a worker, without Node': { module: 'nodenext', lib: ['ES2022', 'DOM', 'DOM.AsyncIterable'], types: [] },
    'for a bundler': {
      module: 'esnext',
      moduleResolution: 'bundler',
      lib: ['ES2022', 'DOM'],
      types: [],
      exactOptionalPropertyTypes: true,
    },
  }
  test('a project with the settings of the tutorial compiles each chapter', async () => {
    const shop = join(packed.folder, 'shop')
    await cp(join(root, 'examples/tutorial'), shop, {
      recursive: true,
      filter: (file) => !/tutorial\/(fixture|tutorial\.test)\.ts$/.test(file),
    })
    await copyFile(join(project, 'package.json'), join(shop, 'package.json'))
    await mkdir(join(shop, 'node_modules/@hono'), { recursive: true })
    await symlink(join(project, 'node_modules/cqrs-es'), join(shop, 'node_modules/cqrs-es'))
    for (const other of ['zod', 'vitest', 'libsql', 'pg', '@types', '@hono/node-server'])
      await symlink(join(root, 'node_modules', other), join(shop, 'node_modules', other))
    const { code, output } = await run(process.execPath, [compilers['TypeScript 7'], '-p', '.', '--pretty', 'false'], {
      cwd: shop,
    })
    expect(output).toBe('')
    expect(code).toBe(0)
  })

  for (const [compiler, path] of Object.entries(compilers)) {
    // By day the older compiler, which takes several times as long, is given one.
    const given = Object.entries(settings).filter(([name]) => isFull || compiler === newest || name === 'for a bundler')
    test.each(given)(`a program compiles on ${compiler} %s`, async (_, options) => {
      const imports = specifiers.map((specifier, i) => `import * as m${i} from '${specifier}'`)
      const modules = specifiers.map((_, i) => `m${i}`)
      await writeFile(join(project, 'program.ts'), `${imports.join('\n')}\nexport const modules = [${modules.join(', ')}]\n`)
      const strict = { target: 'ES2022', strict: true, skipLibCheck: false, noEmit: true }
      const compilerOptions = { ...strict, typeRoots: [join(root, 'node_modules/@types')], ...options }
      await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['program.ts'] }))
      const { code, output } = await run(process.execPath, [path, '-p', project, '--pretty', 'false'], { cwd: project })
      expect(output).toBe('')
      expect(code).toBe(0)
    })

    // By day one compiler: the older one takes four times as long.
    test.skipIf(!isFull && compiler !== 'TypeScript 7')(
      `${compiler} emits declarations of each member of each public type`,
      async () => {
        await copyFile(join(root, 'test/package/declarations/program.ts'), join(project, 'program.ts'))
        await writeFile(join(project, 'values.ts'), valuesOf(join(project, 'program.ts'), specifiers))
        const files = ['program.ts', 'values.ts']
        for (const file of [...files]) {
          const exported = membersOf(join(project, file)).map((member, i) => `export const m${i} = ${member}`)
          expect(exported.length).toBeGreaterThan(300)
          files.push(`members-of-${file}`)
          const from = file.replace('.ts', '.js')
          await writeFile(join(project, `members-of-${file}`), `import * as all from './${from}'\n${exported.join('\n')}\n`)
        }
        const emitting = { declaration: true, emitDeclarationOnly: true, outDir: 'declarations', skipLibCheck: true }
        const compilerOptions = {
          target: 'ES2022',
          module: 'nodenext',
          strict: true,
          types: [],
          lib: ['ES2022', 'DOM'],
          ...emitting,
        }
        await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
        const { code, output } = await run(process.execPath, [path, '-p', project, '--pretty', 'false'], { cwd: project })
        expect(output).toBe('')
        expect(code).toBe(0)
      },
    )
  }
})
