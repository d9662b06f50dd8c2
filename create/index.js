#!/usr/bin/env node
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { parseArgs } from 'node:util'
import { projectOf } from './project.js'

const stores = { sqlite: 'SQLite', postgres: 'Postgres', mysql: 'MySQL or MariaDB', dynamodb: 'DynamoDB' }
/** All but SQLite: a function has no lasting disk. */
const storesOnLambda = { dynamodb: stores.dynamodb, postgres: stores.postgres, mysql: stores.mysql }
const runs = { http: 'HTTP server', lambda: 'AWS Lambda' }

/** @typedef {keyof typeof stores} StoreName */
/** @typedef {keyof typeof runs} RunName */

const usage = `Usage: npm create cqrs-es@latest [folder] -- [options]

  --store ${Object.keys(stores).join(' | ')}
  --run ${Object.keys(runs).join(' | ')}
  --yes    asks nothing, and takes the first of each list where a flag is not given
  --help   shows this text

Without a folder, the project is created in my-app. On AWS Lambda the stores are
${Object.keys(storesOnLambda).join(', ')}: a function has no lasting disk for SQLite.`

/** A refusal whose message tells the caller all that they need. */
class Refusal extends Error {}

try {
  await main()
} catch (error) {
  // Errors of the file system have a code, and a message that names the path.
  if (!(error instanceof Refusal) && !(error instanceof Error && 'code' in error)) throw error
  console.error(error.message)
  process.exitCode = 1
}

async function main() {
  const { help, yes, ...given } = readArguments()
  if (help) return console.log(usage)
  const prompt = yes ? undefined : createPrompt()
  const { folder, name, store, run } = await ask(prompt, given).finally(() => prompt?.close())
  const files = projectOf(name, store, run)
  for (const [path, text] of files) {
    const file = join(folder, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
  }
  console.log(nextSteps(folder, run, files))
}

function readArguments() {
  const { values, positionals } = parse()
  if (positionals.length > 1)
    throw new Refusal(`Only one folder can be given, not ${positionals.join(' and ')}. Flags follow after '--'.\n\n${usage}`)
  const { yes = false, help = false } = values
  const store = readChoice('store', stores, values.store)
  const run = readChoice('run', runs, values.run)
  if (store === 'sqlite' && run === 'lambda')
    throw new Refusal('A Lambda function has no lasting disk: SQLite would lose the events. Choose another store, or --run http.')
  return { folder: positionals[0], store, run, yes, help }
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        store: { type: 'string' },
        run: { type: 'string' },
        yes: { type: 'boolean', short: 'y' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    // The rest of the message is about arguments that start with a dash.
    const [message] = String(error instanceof Error ? error.message : error).split('. ')
    throw new Refusal(`${message}.\n\n${usage}`)
  }
}

/**
 * @template {string} N
 * @param {string} flag
 * @param {Readonly<Record<N, string>>} choices
 * @param {string | undefined} value
 * @returns {N | undefined}
 */
function readChoice(flag, choices, value) {
  const names = /** @type {N[]} */ (Object.keys(choices))
  const found = names.find((name) => name === value)
  if (value !== undefined && found === undefined) throw new Refusal(`--${flag} must be ${listOf(names)}, not '${value}'.`)
  return found
}

/** @param {readonly string[]} names */
function listOf(names) {
  return names.join(', ').replace(/, ([^,]*)$/, ' or $1')
}

/**
 * The name of a new project in this folder.
 *
 * @param {string} folder
 * @throws {Refusal} when the folder has content, or its name is no name of a package
 */
function nameOf(folder) {
  const name = basename(resolve(folder))
  if (!/^[a-z0-9][a-z0-9._-]{0,213}$/.test(name))
    throw new Refusal(`'${name}' cannot be the name of a package. Use lower-case letters, digits, '-', '.' and '_'.`)
  if (contentOf(folder).some((entry) => entry !== '.git'))
    throw new Refusal(`The folder ${folder} is not empty. Nothing was written. Choose another folder, or empty this one.`)
  return name
}

/** @param {string} folder */
function contentOf(folder) {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
}

/** Reads answers from the terminal, or from a pipe with one answer per line. */
function createPrompt() {
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  const lines = terminal[Symbol.asyncIterator]()
  let isClosed = false
  terminal.once('close', () => {
    isClosed = true
  })
  return {
    close: () => terminal.close(),
    /** @param {string} question */
    async ask(question) {
      console.log(question)
      // At the end of a pipe the terminal is closed, and unread lines remain.
      if (!isClosed) terminal.prompt()
      const { value, done } = await lines.next()
      if (done) throw new Refusal('\nA question was not answered. Nothing was written. Use flags, or --yes for the defaults.')
      return value.trim()
    },
  }
}

/** @typedef {ReturnType<typeof createPrompt> | undefined} Prompt */

/**
 * Asks for each part that the flags leave open; without a prompt, takes the defaults.
 *
 * @param {Prompt} prompt
 * @param {{ folder: string | undefined, store: StoreName | undefined, run: RunName | undefined }} given
 */
async function ask(prompt, given) {
  const folder = given.folder ?? ((await prompt?.ask('Folder of the project (my-app):')) || 'my-app')
  const name = nameOf(folder)
  /** @type {StoreName} */
  const store = given.store ?? (await choose(prompt, 'Store the events in:', given.run === 'lambda' ? storesOnLambda : stores))
  const run = given.run ?? (await choose(prompt, 'Run the app as:', store === 'sqlite' ? { http: runs.http } : runs))
  return { folder, name, store, run }
}

/**
 * @template {string} N
 * @param {Prompt} prompt
 * @param {string} question
 * @param {Readonly<Partial<Record<N, string>>>} choices - the first is the default
 * @returns {Promise<N>}
 */
async function choose(prompt, question, choices) {
  const names = /** @type {[N, ...N[]]} */ (Object.keys(choices))
  if (prompt === undefined || names.length === 1) return names[0]
  const rows = names.map((name, i) => `  ${i + 1}. ${choices[name]}${i === 0 ? ' (default)' : ''}`)
  for (;;) {
    const answer = await prompt.ask([question, ...rows].join('\n'))
    const chosen = answer === '' ? names[0] : (names[Number(answer) - 1] ?? names.find((name) => name === answer))
    if (chosen !== undefined) return chosen
    console.log(`'${answer}' is not one of them. Type a number from 1 to ${names.length}.`)
  }
}

/**
 * @param {string} folder
 * @param {RunName} run
 * @param {ReadonlyMap<string, string>} files
 */
function nextSteps(folder, run, files) {
  const steps = [
    ...(resolve(folder) === process.cwd() ? [] : [`cd ${folder}`]),
    'npm install',
    'npm test',
    'cp .env.example .env',
    ...(files.has('compose.yaml') ? ['docker compose up --detach --wait'] : []),
    ...(run === 'http' ? ['npm run dev'] : ['npm run schema', 'npm run build']),
  ]
  return [
    `Created ${files.size} files in ${resolve(folder)}. Next:`,
    '',
    ...steps.map((step) => `  ${step}`),
    '',
    'README.md continues.',
  ].join('\n')
}
