import { expect, test } from 'vitest'
import { compilers, node, root } from './run.ts'
import { isFull } from './strength.ts'

/** By day the older compiler takes the strict settings; `npm run typecheck` has the newer one take both. */
const projects: Readonly<Record<keyof typeof compilers, readonly string[]>> = {
  'TypeScript 5.9': isFull ? ['tsconfig.json', 'loose.json'] : ['tsconfig.json'],
  'TypeScript 7': isFull ? ['tsconfig.json', 'loose.json'] : [],
}

for (const [name, compiler] of Object.entries(compilers)) {
  test.each(projects[name as keyof typeof compilers])(`test/types/%s compiles on ${name}`, async (project) => {
    const { code, output } = await node(compiler, '-p', `${root}test/types/${project}`, '--pretty', 'false')
    expect(output).toBe('')
    expect(code).toBe(0)
  })
}
