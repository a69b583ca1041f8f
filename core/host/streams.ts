/** Streams and emitters, for interfaces that are made of them: the same in Node and in workerd (nodejs_compat). */
export { EventEmitter } from 'node:events'
export { Readable, Writable } from 'node:stream'
