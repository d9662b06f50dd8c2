/**
 * `npm run bench` answers all questions, `npm run bench -- commands` one. Each is its own program,
 * so that none warms up another. `npm run bench -- regression [commit]` compares with another
 * commit, `npm run bench -- goals` writes the table of goals. Neither is part of all questions.
 * `npm run bench -- client <commit>` compares, too.
 */
import { spawn } from 'node:child_process'
import { root } from '../test/run.ts'

const questions: Readonly<Record<string, string>> = {
  commands: 'bench/commands.ts',
  network: 'bench/network.ts',
  client: 'bench/client.ts',
  append: 'bench/append.ts',
  statements: 'bench/statements.ts',
  'round-trips': 'bench/round-trips.ts',
  costs: 'bench/costs.ts',
  age: 'bench/age.ts',
  load: 'bench/load.ts',
  replay: 'bench/replay.ts',
  following: 'bench/following.ts',
  subscriptions: 'bench/subscriptions.ts',
  http: 'bench/http.ts',
  weight: 'scripts/size.ts',
}

/** Not part of all questions. */
const alone: Readonly<Record<string, string>> = {
  goals: 'bench/goals.ts',
  growth: 'bench/growth.ts',
  regression: 'bench/regression.ts',
}

const asked = process.argv.slice(2)
const [first = '', second = ''] = asked
if (Object.hasOwn(alone, first)) process.exit(await program(alone[first] as string, asked.slice(1)))
const isCommit = asked.length === 2 && !Object.hasOwn(questions, second)
if (first === 'client' && isCommit) process.exit(await program('bench/client.ts', [second]))
const unknown = asked.find((question) => !Object.hasOwn(questions, question))
if (unknown !== undefined)
  throw new Error(
    `There is no question '${unknown}'. Questions: ${Object.keys({ ...questions, ...alone }).join(', ')}. The last one takes a commit.`,
  )

for (const question of asked.length > 0 ? asked : Object.keys(questions)) {
  console.log(`\n## ${question}\n`)
  const code = await program(questions[question] as string)
  if (code !== 0) process.exit(code)
}

/** With the tsconfig of this folder, Node resolves `cqrs-es` to the built package. */
function program(file: string, args: readonly string[] = []): Promise<number> {
  const env = { ...process.env, TSX_TSCONFIG_PATH: `${root}bench/tsconfig.json` }
  const child = spawn(process.execPath, ['--import', 'tsx', file, ...args], { cwd: root, env, stdio: 'inherit' })
  return new Promise((resolve) => child.on('close', (code) => resolve(code ?? 1)))
}
