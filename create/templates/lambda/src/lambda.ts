import { onHttp } from 'cqrs-es/lambda'
import { createApi, createShop } from './app.ts'
import { openStore } from './store.ts'

// Outside of the handler: the connections and the cache live as long as the instance.
const shop = createShop(openStore().store)

/** For a function URL, or an HTTP API of API Gateway. */
export const handler = onHttp(createApi(shop))
