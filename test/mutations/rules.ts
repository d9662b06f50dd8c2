import type { Mutation } from './mutation.ts'

const unique = 'test/stories/unique-values.test.ts'

/** Of unique values and deadlines. */
export const rules: readonly Mutation[] = [
  {
    breaks: 'a taken value gets another owner',
    file: 'src/unique/rows.ts',
    find: 'value !== undefined && value.owner !== owner',
    put: 'value === null',
    test: `${unique} › a value that another aggregate has is taken`,
  },
  {
    breaks: 'a claim does not expect the version that was read',
    file: 'src/unique/rows.ts',
    find: 'claimRows.write(row, i < taken.length',
    put: 'claimRows.write({ ...row, version: 0 }, i < taken.length',
    test: `${unique} › a value is free after its owner has given it up`,
    hangs: true,
  },
  {
    breaks: 'a value that is given up stays claimed',
    file: 'src/unique/rows.ts',
    find: 'i < taken.length ? { owner } : null',
    put: '{ owner }',
    test: `${unique} › a value is free after its owner has given it up`,
  },
  {
    breaks: 'taken is answered on a stale state',
    file: 'src/execution/execute.ts',
    find: 'decision = refusalOf(execution, base, error)',
    put: 'return answer(refusalOf(execution, base, error), base.loaded)',
    test: `${unique} › a stale state does not answer taken`,
  },
  {
    breaks: 'a process does not receive taken',
    file: 'src/execution/execute.ts',
    find: "if (call.together === undefined || decision.kind === 'failed') return decision",
    put: 'if (call !== null) return decision',
    test: `${unique} › a process receives taken as the reply to its command`,
    hangs: true,
  },
  {
    breaks: 'rules share values',
    file: 'src/unique/claims.ts',
    find: 'JSON.stringify([subject.definition.type, unique, value])',
    put: 'JSON.stringify([subject.definition.type, value])',
    test: `${unique} › rules and types do not share values`,
  },
  {
    breaks: 'a command that changes no unique value writes its claims',
    file: 'src/unique/rows.ts',
    find: 'filter(({ key }) => !before.has(key))',
    put: 'filter(({ key }) => key !== null)',
    test: `${unique} › a command that changes no unique value reads and writes no claims`,
  },
  {
    breaks: 'a taken value is 422',
    file: 'src/http/command.ts',
    find: 'problem(409, { detail: `Another',
    put: 'problem(422, { detail: `Another',
    test: 'test/http/unique-values.test.ts › a command whose unique value is taken is 409 with the name of the rule',
  },
]
