import { describe, test } from 'vitest'
import { withoutDynamoDbLocal } from '../servers/dynamodb-local.ts'
import { unselected } from '../servers/stores.ts'
import { dynamoDbHostOn } from './dynamodb-host.ts'
import { hostConformance } from './host.ts'

const missing = unselected('dynamodb') ? 'STORES leaves DynamoDB out' : await withoutDynamoDbLocal()

/** The emulator that npm brings runs everywhere; Amazon's own needs Java. The documentation of AWS decides if the two differ. */
describe('DynamoDB Local', async () => {
  if (missing === undefined) await hostConformance(dynamoDbHostOn('dynamodb-local'))
  else test.skip(`keeps the contract (not tested: ${missing})`, () => {})
})
