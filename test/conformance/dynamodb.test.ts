import { describe } from 'vitest'
import { unselected } from '../servers/stores.ts'
import { dynamoDbHost } from './dynamodb-host.ts'
import { hostConformance } from './host.ts'

describe.skipIf(unselected('dynamodb'))('DynamoDB', async () => {
  if (!unselected('dynamodb')) await hostConformance(dynamoDbHost)
})
