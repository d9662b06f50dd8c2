import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import { haveProgram } from './programs.ts'

const programs = ['chromium', 'google-chrome', 'google-chrome-stable', 'chromium-browser']
const onMac = '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'

/** The browser itself sends no requests; only the page does. */
const args = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/**
 * Starts a browser without a window: the one that `CHROMIUM` names, an installed one, or Debian's.
 */
export async function startChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: await findChromium(), args, headless: true })
}

async function findChromium(): Promise<string> {
  const found = process.env.CHROMIUM || installed()
  if (found !== undefined) return found
  await haveProgram('chromium', 'chromium')
  const now = installed()
  if (now !== undefined) return now
  throw new Error(
    'There is no browser for the test of the API page: install Chromium or Chrome (Debian: `apt-get install chromium`, macOS: `brew install --cask google-chrome`), ' +
      'or set CHROMIUM to the path of one.',
  )
}

const installed = (): string | undefined => [...onPath(), onMac].find(isProgram)

const onPath = () => programs.flatMap((name) => (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name)))

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
