import { pathToFileURL } from 'node:url'
import { parentPort, workerData } from 'node:worker_threads'
import type { Call, Outcome } from './sandbox.ts'

/**
 * The inside of a sandbox: loads the bundle once, and calls its handler with one event after
 * another, as JSON.
 */
const loading: Promise<{ readonly handler: (event: unknown, context: object) => unknown }> = import(
  pathToFileURL(workerData.file).href
)

parentPort?.on('message', async ({ event, context: { deadline, ...known } }: Call) => {
  parentPort?.postMessage(await outcomeOf(event, { ...known, getRemainingTimeInMillis: () => deadline - Date.now() }))
})

async function outcomeOf(event: unknown, context: object): Promise<Outcome> {
  try {
    const { handler } = await loading
    const answer = await handler(JSON.parse(JSON.stringify(event)), context)
    return { answer: answer === undefined ? null : JSON.parse(JSON.stringify(answer)) }
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error))
    return { failure: { errorType: name, errorMessage: message } }
  }
}
