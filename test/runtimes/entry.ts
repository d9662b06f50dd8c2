import { createApp } from 'cqrs-es'
import { memoryStore } from 'cqrs-es/memory'

console.log(typeof createApp({ store: memoryStore(), aggregates: {} }).close === 'function' ? 'ok' : 'broken')
