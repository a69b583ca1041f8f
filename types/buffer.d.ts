/** Methods of Buffer that Node and workerd have and @types/node 20 leaves out; they skip the encoding look-up of
 *  `toString` and `write`. Every parameter is required: workerd has no defaults for them.
 *  @source https://github.com/nodejs/node/blob/v20.x/lib/internal/buffer.js (addBufferPrototype) */
interface Buffer {
  latin1Slice(start: number, end: number): string
  utf8Slice(start: number, end: number): string
  latin1Write(value: string, offset: number, length: number): number
  utf8Write(value: string, offset: number, length: number): number
}
