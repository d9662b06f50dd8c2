import { expect, test } from 'vitest'
import { compilers, node, root } from './run.ts'

const projects = ['tsconfig.json', 'loose.json']

for (const [name, compiler] of Object.entries(compilers)) {
  test.each(projects)(`test/types/%s compiles on ${name}`, async (project) => {
    const { code, output } = await node(compiler, '-p', `${root}test/types/${project}`, '--pretty', 'false')
    expect(output).toBe('')
    expect(code).toBe(0)
  })
}
