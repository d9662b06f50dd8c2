import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { bundle } from './bundle.ts'
import { LocalFunction } from './local/sandbox.ts'

let folder: string
let worker: string
let opened: LocalFunction[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bank-sandbox-'))
  worker = (await bundle('local/worker.ts', join(folder, 'worker'))).file
})
afterEach(async () => {
  await Promise.all(opened.map((one) => one.close()))
  opened = []
  vi.restoreAllMocks()
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('a function in sandboxes', () => {
  it('a sandbox has its own environment and keeps loaded modules for the next call', async () => {
    const one = await open(
      'let calls = 0; export const handler = (event) => [event, process.env.WHO, process.env.PATH ?? null, ++calls]',
    )
    expect(await one.invoke({ a: 1 })).toEqual({ answer: [{ a: 1 }, 'me', null, 1] })
    expect(await one.invoke({ a: 2 })).toEqual({ answer: [{ a: 2 }, 'me', null, 2] })
  })

  it('a sandbox tells the function its name and its remaining time', async () => {
    const one = await open(
      'export const handler = (_, c) => [c.functionName, c.memoryLimitInMB, c.getRemainingTimeInMillis() > 0]',
    )
    expect(await one.invoke({})).toEqual({ answer: ['test', '128', true] })
  })

  it('a sandbox runs one call at a time, and further calls wait', async () => {
    const one = await open(`
      let under = 0, calls = 0
      export const handler = async () => {
        under++
        await new Promise((resolve) => setTimeout(resolve, 20))
        return [under--, ++calls]
      }`)
    const outcomes = await Promise.all(Array.from({ length: 12 }, () => one.invoke({})))
    const answers = outcomes.map((outcome) => ('answer' in outcome ? (outcome.answer as [number, number]) : []))
    expect(answers.map(([under]) => under)).toEqual(Array(12).fill(1))
    expect(answers.filter(([, calls]) => calls === 1)).toHaveLength(4)
  })

  it.each([
    ['throws', "throw new TypeError('no')", 'TypeError'],
    ['ends its process', 'process.exit(1)', 'Runtime.ExitError'],
    [
      'breaks down outside of a call',
      "setTimeout(() => { throw new Error('later') }); await new Promise(() => {})",
      'Runtime.ExitError',
    ],
    ['does not answer in time', 'await new Promise(() => {})', 'Sandbox.Timedout'],
  ])('a call fails when the function %s, and the next one works', async (_, body, errorType) => {
    const told = vi.spyOn(console, 'error').mockImplementation(() => {})
    const one = await open(
      `export const handler = async (event) => { if (event.bad) { ${body} } return 'fine' }`,
      errorType === 'Sandbox.Timedout' ? 5 : 60,
    )
    expect(await one.invoke({ bad: true })).toMatchObject({ failure: { errorType } })
    expect(told).toHaveBeenCalledWith(expect.stringContaining(`test failed: ${errorType}`))
    expect(await one.invoke({})).toEqual({ answer: 'fine' })
  })

  it('a call fails when the function cannot be loaded', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => {})
    expect(await (await open('throw new Error("broken")')).invoke({})).toMatchObject({ failure: {} })
  })
})

let made = 0

async function open(program: string, timeout = 60): Promise<LocalFunction> {
  const file = join(folder, `function-${++made}.mjs`)
  await writeFile(file, program)
  const one = new LocalFunction({ name: 'test', file, worker, environment: { WHO: 'me' }, memory: 128, timeout })
  opened.push(one)
  return one
}
