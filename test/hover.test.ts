import { readFileSync } from 'node:fs'
import ts from 'typescript-5.9'
import { expect, test } from 'vitest'
import { root } from './run.ts'

/** What an editor shows when the pointer rests on a name. */
const file = `${root}test/types/api.ts`
const text = readFileSync(file, 'utf8')

function hover(place: string, name: string): string {
  const start = text.indexOf(place)
  if (start === -1) throw new Error(`test/types/api.ts has no '${place}'`)
  const info = service.getQuickInfoAtPosition(file, start + place.indexOf(name))
  return ts.displayPartsToString(info?.displayParts).replace(/\s+/g, ' ')
}

/** A program that is wrong, and what is said about it. */
const wrong = `${root}test/types/wrong.ts`
const wrongText = `
import { defineAggregate } from 'cqrs-es'
import { z } from 'zod'
defineAggregate({
  type: 'order',
  events: { Started: z.object({ by: z.string() }), Added: z.object({ item: z.string() }) },
  commands: { Start: z.object({ by: z.string() }) },
  initialState: () => ({}),
}).implement({
  handle: { Start: (_, { by }) => ({ type: 'Startd', data: { by } }) },
  apply: { Started: (state) => state, Added: (state) => state },
})
`

const config = ts.getParsedCommandLineOfConfigFile(
  `${root}test/types/tsconfig.json`,
  {},
  {
    ...ts.sys,
    onUnRecoverableConfigFileDiagnostic: (diagnostic) => {
      throw new Error(String(diagnostic.messageText))
    },
  },
)
const service = ts.createLanguageService({
  readFile: ts.sys.readFile,
  fileExists: (name) => name === wrong || ts.sys.fileExists(name),
  directoryExists: ts.sys.directoryExists,
  getDirectories: ts.sys.getDirectories,
  readDirectory: ts.sys.readDirectory,
  getCompilationSettings: () => config?.options ?? {},
  getScriptFileNames: () => [...(config?.fileNames ?? []), wrong],
  getScriptVersion: () => '1',
  getScriptSnapshot: (name) => {
    const text = name === wrong ? wrongText : ts.sys.readFile(name)
    return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text)
  },
  getCurrentDirectory: () => root,
  getDefaultLibFileName: ts.getDefaultLibFilePath,
})

const events =
  '{ AccountOpened: { owner: string; }; MoneyDeposited: { amount: number; balance: number; }; NoteAdded: { note: string; }; CheckWritten: { check: string; amount: number; balance: number; }; AccountClosed: void; }'

test('the tooltip of an aggregate shows its events and commands as plain data', () => {
  expect(hover('bankAccount = defineAggregate', 'bankAccount')).toContain(
    `Aggregate<{ type: "account"; state: Account; events: ${events}; commands: {`,
  )
})

test('the tooltip of a result shows the state, the events and each rejection', () => {
  expect(hover('written = await', 'written')).toBe(
    `const written: Accepted<Account, ${events}, "account"> | Rejected<"not-open", undefined> | Rejected<"insufficient-funds", { balance: number; }> | Rejected<"check-invalid", undefined>`,
  )
  expect(hover('closed = await', 'closed')).toBe(`const closed: Accepted<Account, ${events}, "account">`)
})

test('the tooltip of a view shows its content and its indexes', () => {
  expect(hover('balances = defineView', 'balances')).toBe(
    'const balances: View<{ name: "balances"; view: { owner: string; balance: number; tags: string[]; }; indexes: "owner"; }>',
  )
  expect(hover('row = await', 'row')).toBe('const row: ViewRow<{ owner: string; balance: number; tags: string[]; }> | undefined')
})

test('tooltips in a handler show the state and the command', () => {
  expect(hover('WriteCheck: async (account,', 'account')).toBe('(parameter) account: Account')
  expect(hover('{ owner }) =>', 'owner')).toBe('(parameter) owner: string')
})

test('tooltips of a log and its delivery show their names', () => {
  expect(hover('log = givenLog', 'log')).toBe('const log: GivenLog')
  expect(hover('delivered = log', 'delivered')).toBe('const delivered: DeliveredTo')
  expect(hover('[sent] = await', 'sent')).toBe('const sent: SentCommand | undefined')
})

test('the compile error for a wrong event shows the data of events, not the schemas', () => {
  const said = service.getSemanticDiagnostics(wrong).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
  expect(said).toEqual([expect.stringContaining(`Type '"Startd"' is not assignable to type`)])
  expect(said[0]).toContain('Decision<{ Started: { by: string; }; Added: { item: string; }; }>')
  expect(said[0]).not.toMatch(/Zod|EventData/)
})
