import { describe, test } from 'vitest'
import { appendCases } from '../../src/conformance/append.ts'
import { changeCases } from '../../src/conformance/changes.ts'
import { headCases } from '../../src/conformance/heads.ts'
import { withoutDynamoDbLocal } from '../servers/dynamodb-local.ts'
import { unselected } from '../servers/stores.ts'
import { dynamoDbHostOn } from './dynamodb-host.ts'
import { hostConformance, onlyByDay } from './host.ts'

const missing = unselected('dynamodb') ? 'STORES leaves DynamoDB out' : await withoutDynamoDbLocal()

/** What the two emulators have differed in. */
const isWanted = onlyByDay(appendCases, changeCases, headCases)

/** The emulator that npm brings runs everywhere; Amazon's own needs Java. The documentation of AWS decides if the two differ. */
describe('DynamoDB Local', async () => {
  if (missing === undefined) await hostConformance(dynamoDbHostOn('dynamodb-local'), isWanted)
  else test.skip(`DynamoDB Local passes the conformance suite (not tested: ${missing})`, () => {})
})
