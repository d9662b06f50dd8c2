import type { Mutation } from './mutation.ts'

const unique = 'test/stories/unique-values.test.ts'
const deadlines = 'test/stories/deadlines.test.ts'
const adopting = 'test/stories/adopting.test.ts'

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
  {
    breaks: 'a deadline is sent early',
    file: 'src/deadlines/work.ts',
    find: 'due <= now && definition',
    put: 'definition',
    test: `${deadlines} › a command is sent when its time has come, not a millisecond before`,
  },
  {
    breaks: 'a rejected deadline is sent again',
    file: 'src/deadlines/wanted.ts',
    find: 'command === settled || known.done',
    put: 'known.done',
    test: `${deadlines} › a deadline that the handler %ss is sent once, until its time changes`,
    hangs: true,
  },
  {
    breaks: 'a moved deadline keeps its outcome',
    file: 'src/deadlines/wanted.ts',
    find: 'if (known?.at !== at) return',
    put: 'if (known === undefined) return',
    test: `${deadlines} › a deadline that the handler %ss is sent once, until its time changes`,
  },
  {
    breaks: 'a deadline is sent though its row has moved',
    file: 'src/deadlines/send-deadline.ts',
    find: 'rows: (decided) => [rows.write(row, rowOf(',
    put: 'rows: (decided) => [] || [rows.write(row, rowOf(',
    test: `${deadlines} › eight apps send a deadline once`,
    hangs: true,
  },
  {
    breaks: 'an unreadable time is ignored',
    file: 'src/deadlines/wanted.ts',
    find: 'if (text === undefined)\n    throw new TypeError(',
    put: 'if (text === undefined) return undefined\n  if (text === null)\n    throw new TypeError(',
    test: `${deadlines} › a deadline whose time cannot be read fails its command`,
  },
  {
    breaks: 'a command that leaves the deadlines as they are writes them',
    file: 'src/deadlines/rows.ts',
    find: 'together?.hasDeadlines || isSame(before, after)',
    put: 'together?.hasDeadlines',
    test: `${deadlines} › a command that leaves the deadlines as they are reads and writes no row`,
  },
  {
    breaks: 'adopt writes over a later command',
    file: 'src/unique/rows.ts',
    find: 'others[i] ? []',
    put: '(others[i] || (i >= taken.length && row.value === undefined)) ? []',
    test: `${adopting} › a command between the reads of adopt and its commit is not overwritten`,
  },
  {
    breaks: 'adopt takes a value from its owner',
    file: 'src/unique/missing.ts',
    find: 'if (!has) {',
    put: 'if (has !== null) {',
    test: `${adopting} › adopt claims the values of earlier aggregates, once, and reports doubles`,
    hangs: true,
  },
]
