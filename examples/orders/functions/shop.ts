import { store } from '../../serverless-bank/functions/store.ts'
import { shopApp } from '../app.ts'

/** The same shop on DynamoDB. */
export const app = shopApp(store)
