import { listen } from './listen.ts'
import { choosePlace } from './place.ts'
import { tryIt } from './try-it.ts'

try {
  const place = await choosePlace()
  const server = await listen({ openStore: place.openStore, port: Number(process.env.PORT || 3000) })
  console.log(`The bank is open at ${server.url} and keeps its events in ${place.name}.`)
  console.log(`The API, described: ${server.url}/docs`)
  console.log('Try it there, or from another terminal (`| jq` formats a response). Ctrl-C closes the bank.\n')
  for (const line of tryIt(server.url)) console.log(line === '' ? '' : `  ${line}`)
  const close = async () => {
    await server.close()
    console.log('\nThe bank is closed.')
  }
  process.once('SIGINT', close).once('SIGTERM', close)
} catch (error) {
  console.error(`The bank cannot open: ${error instanceof Error ? error.message : error}`)
  console.error('PORT chooses another port, BANK_FILE another file, STORE another store.')
  process.exitCode = 1
}
