import type { ServerName } from './setup.ts'

/**
 * Address of a server for this test run. The first request starts it. @throws Error that says how
 * to get one
 */
export async function serverUrl(name: ServerName): Promise<string> {
  const desk = process.env.TEST_SERVERS
  if (desk === undefined) throw new Error('Servers are started by the test run: use `npm test`, or `npx vitest run <folder>`.')
  if (desk === '')
    throw new Error(`A test of the project 'fast' asks for ${name}: name its file under another kind in vitest.config.ts.`)
  const answer = (await (await fetch(`${desk}/${name}`)).json()) as { readonly url: string } | { readonly error: string }
  if ('error' in answer) throw new Error(answer.error)
  return answer.url
}
