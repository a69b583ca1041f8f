/** Streams and emitters, where a library's interface is made of them: the same in Node and in workerd (nodejs_compat). */
export { EventEmitter } from 'node:events'
export { Readable, Writable } from 'node:stream'
