import * as core from 'cqrs-es'

if (Object.keys(core).length === 0) throw new Error('The core exports nothing.')
console.log('ok')
