import { test } from 'bun:test'
import { stories } from './kit.ts'

for (const [name, story] of Object.entries(stories)) test(name, story)
